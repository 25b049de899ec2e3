"""A cell that is damaged or was changed by hand is one message that names it, in every command; the rest is saved."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.conversation import Image
from harness.protocols.judge import Reply
from harness.protocols.model import Answer
from harness.store import ReadReply, Store
from harness.store.cells import DamagedCell
from harness.store.migrations import schema
from harness.store.rescue import rescue
from tests.leaderboards.fakes import add, answers, example

JUDGE, SERVER = "openai:j", "http://x"
JUDGED = {"judge": "j-2026", "info": {"judging": {"asked": JUDGE, "endpoint": SERVER, "runs": 1}}}
NAMED = {"mentions": ["cat", "dog"], "hallucinated": ["cat"], "classes": {}}
KIND = {"type": "attribute"}
CELLS: list[tuple[str, str, Any]] = [
    *(("evaluation", column, None) for column in ("run", "model", "benchmark", "version", "info", "data_dir")),
    *(("evaluation", column, "no JSON") for column in ("settings", "decoding", "metrics", "info")),
    *(("evaluation", column, "six") for column in ("n", "n_scored", "n_failed")),
    *(("evaluation", "info", text) for text in ("[]", '{"judging": 3}', '{"notes": "a note"}', "[" * 9999)),
    *(("evaluation", "metrics", text) for text in ("[]", '{"chair": 5}', '{"chair": {"value": "high"}}')),
    ("evaluation", "decoding", '{"eos_bias": "none"}'),
    ("evaluation", "model", b"\xff\0"),
    *(("verdict", column, "{no JSON") for column in ("values", "details", "replies")),
    *(("verdict", "values", text) for text in ("[1]", '{"correct": "yes"}')),
    *(("verdict", "replies", text) for text in ("[1]", '[{"attempt": "first", "prompt": "p", "reply": "r"}]')),
    ("verdict", "grp", None),
    ("verdict", "answer", b"\xff"),
    *(("alignment", column, None) for column in ("method", "seed", "panel", "status", "model_dir")),
    *(("alignment", column, "no JSON") for column in ("config", "info")),
    *(("alignment", column, "zero") for column in ("seed", "seconds", "number")),
    ("alignment", "info", '{"lineage": "of dpo"}'),
    *(("train_log", "metrics", text) for text in ("{", '{"loss": "low"}')),
    ("gap", "gap", "wide"),
    ("hardness", "delta", "hard"),
    *(("sample", column, value) for column, value in (("data", "{"), ("prompt", None), ("position", "first"))),
    *(("generation", column, value) for column, value in (("details", "{"), ("tokens", "many"), ("text", b"\xff"))),
    *(("reply", column, value) for column, value in (("usage", "{"), ("model", None))),
    *(("activity", column, value) for column, value in (("items", "{"), ("steps", '{"bench": 1}'))),
    ("probe", "record", "[]"),
    ("asked", "settings", "{"),
]
COMMANDS: dict[str, tuple[str, ...]] = {
    "leaderboard": ("leaderboard",),
    "page": ("leaderboard", "--out", "page/"),
    "compare": ("compare", "dpo-s0", "base"),
    "plan": ("plan", "dpo", "base", "--difference", "5", "--benchmark", "amber"),
    "show": ("show", "dpo-s0", "--json"),
    "sample": ("show", "dpo-s0", "--sample", "1"),
    "objects": ("objects", "dpo-s0", "base"),
    "agree": ("agree", "j-2026", "another"),
    "status": ("status",),
    "list": ("list", "runs"),
    "info": ("db", "info"),
    "backup": ("db", "backup", "backup.sqlite"),
    "check": ("db", "check"),
    "merge": ("db", "merge", "r.sqlite", "--into", "merged.sqlite"),
    "export": ("export",),
    "parquet": ("export", "--format", "parquet", "--out", "parquet"),
}
READ = ("export", "parquet", "check", "merge")
"""Commands that look at every cell."""


def filled(folder: Path) -> Path:
    """A results file with rows in every table but those of what is under way: figures, a judge's replies, objects."""
    store = example(folder)
    images = [Image(path=folder / f"{i}.jpg") for i in range(6)]
    for key in ("d", "judged", "objects"):
        store.save_samples(key, [Sample(str(i), f"Q{i}?", images[i], KIND, f"image-{i}") for i in range(6)])
    log = store.start_alignment("dpo-s0", method="dpo", seed=0, panel="clean", key="dpo-s0", config={})
    log.log_step(1, {"loss": 0.5})
    store.finish_alignment("dpo-s0", status="done", model_dir="m", seconds=1.0)
    reply = Reply("Rating: 4", "j-2026")
    store.save_reply(JUDGE, SERVER, "asked", 0, 0, reply)
    for run in ("base", "dpo-s0"):
        add(store, run, answers([1, 2, 1, 2, 1, 2]), benchmark="mmhal", data_key="judged", **JUDGED)
        add(
            store,
            run,
            answers([1, 1, 1, 2, 2, 2]),
            benchmark="mmhal",
            data_key="judged",
            **{**JUDGED, "judge": "another"},
        )
        named = {str(i): Verdict({"mentions": 2.0, "hallucinated": 1.0}, details=NAMED) for i in range(6)}
        add(store, run, named, benchmark="object_halbench", data_key="objects", **JUDGED)
    read = json.dumps([vars(ReadReply.of(0, "asked", reply))])
    store.write("UPDATE verdict SET replies = ?", [(read,)])
    store.save_answers("m", [("q", Answer("x", reasoning="hm"))])
    store.save_probe("k", {"state": "ok"}, complete=True)
    store.save_model("hf:x", {}, "m")
    store.hide_run("gone")
    store.start_activity("bench", "bench", ["dpo-s0 on amber"], "log", "here", 1)
    store.close()
    return store.path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("sound"))


def damage(sound: Path, path: Path, table: str, column: str, value: Any) -> Path:
    """A copy of ``sound`` at ``path`` with ``value`` in the first cell of a column."""
    shutil.copy(sound, path)
    with contextlib.closing(sqlite3.connect(path)) as db:
        key = ", ".join(name for (name,) in db.execute("SELECT name FROM pragma_table_info(?) WHERE pk", [table]))
        where = f"({key}) = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1)"
        assert db.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', [value]).rowcount == 1
        db.commit()
    return path


def run(folder: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(cli, [*words, *(() if "merge" in words else ("--db", "r.sqlite"))])


def test_every_command_of_this_file_works_on_the_sound_file(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(sound, tmp_path / "r.sqlite")
    results = {name: run(tmp_path, words, monkeypatch) for name, words in COMMANDS.items()}
    assert {name: result.output for name, result in results.items() if result.exit_code} == {}
    assert {table for table in schema() if not Store.reading(sound).count(table)} == {"claim"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("table", "column", "value"), CELLS, ids=lambda value: repr(value)[:20])
def test_a_damaged_cell_is_one_message_that_names_it_and_no_traceback(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str, column: str, value: Any
) -> None:
    damage(sound, tmp_path / "r.sqlite", table, column, value)
    for name, words in COMMANDS.items():
        result = run(tmp_path, words, monkeypatch)
        assert result.exception is None or isinstance(result.exception, SystemExit), (name, result.exception)
        said = " ".join(result.output.split())
        assert result.exit_code == (1 if name in READ else result.exit_code) in (0, 1), (name, said)
        if result.exit_code:
            assert f"table {table}, row of " in said and f"column {column}: expected " in said, (name, said)
            assert "db rescue" in said or name in ("export", "parquet")


@pytest.mark.parametrize(("table", "column", "value"), {cell[0]: cell for cell in CELLS}.values(), ids=repr)
def test_a_rescue_sets_the_row_aside_and_the_rest_is_a_sound_file(
    sound: Path, tmp_path: Path, table: str, column: str, value: Any
) -> None:
    path = damage(sound, tmp_path / "r.sqlite", table, column, value)
    found = rescue(path, tmp_path / "saved.sqlite")
    saved = Store(tmp_path / "saved.sqlite")
    assert found.damaged == {table: 1} and not found.unreadable and saved.faults() == []
    assert saved.count(f"damaged_{table}") == 1
    rest = saved.count(table) + found.orphans.get(table, 0)  # verdicts whose evaluation is not whole are no lost rows
    assert rest == Store.reading(sound).count(table) - 1


def test_a_rescue_says_what_it_set_aside_and_exits_as_incomplete(sound: Path, tmp_path: Path) -> None:
    path = damage(sound, tmp_path / "r.sqlite", "generation", "tokens", "many")
    words = ["db", "rescue", str(tmp_path / "saved.sqlite"), "--db", str(path), "--json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 3 and json.loads(result.stdout)["damaged"].keys() == {"generation"}


def test_an_export_has_every_row_and_a_damaged_cell_as_it_is_stored(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    first = damage(sound, tmp_path / "s.sqlite", "evaluation", "n", "six")
    damage(first, tmp_path / "r.sqlite", "evaluation", "info", "{no JSON")
    for name in ("export", "parquet"):
        assert "All rows are in " in run(tmp_path, COMMANDS[name], monkeypatch).output
    rows = [json.loads(line) for line in (tmp_path / "export/evaluation.jsonl").read_text().splitlines()]
    assert len(rows) == Store.reading(sound).count("evaluation")
    assert (rows[0]["n"], rows[0]["info"]) == ("six", "{no JSON") and isinstance(rows[1]["info"], dict)
    table = pq.read_table(tmp_path / "parquet/evaluation.parquet").to_pylist()
    assert (table[0]["n"], table[0]["info"], table[1]["n"]) == (None, "{no JSON", 6)


def test_a_check_lists_every_damaged_cell(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(sound, tmp_path / "s.sqlite", "evaluation", "model", None)
    damage(tmp_path / "s.sqlite", tmp_path / "r.sqlite", "train_log", "metrics", "{")
    said = " ".join(run(tmp_path, COMMANDS["check"], monkeypatch).output.split())
    assert "table evaluation, row of id 5, column model: expected text, found nothing" in said
    assert "table train_log, row of alignment 'dpo-s0', step 1, column metrics: expected JSON, found '{'" in said


def test_a_column_of_ones_own_disturbs_no_command(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(sound, tmp_path / "r.sqlite")
    with contextlib.closing(sqlite3.connect(tmp_path / "r.sqlite")) as db:
        for table in schema():
            db.execute(f"ALTER TABLE {table} ADD COLUMN remark TEXT DEFAULT 'mine'")
        db.commit()
    for name in ("leaderboard", "show", "check", "status", "export"):
        assert run(tmp_path, COMMANDS[name], monkeypatch).exit_code == 0, name


def test_a_damaged_row_is_named_where_python_asks_for_it(sound: Path, tmp_path: Path) -> None:
    store = Store(damage(sound, tmp_path / "r.sqlite", "reply", "usage", "{"))
    with pytest.raises(DamagedCell, match=r"r\.sqlite: table reply, row of judge 'openai:j', .* column usage: "):
        store.replies(JUDGE, SERVER)
