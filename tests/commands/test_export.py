from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.errors import UsageError
from harness.store import Store
from tests.leaderboards.fakes import example
from workflows.export import export

pq = pytest.importorskip("pyarrow.parquet")


def test_jsonl_has_every_row_of_every_table_with_json_as_objects(tmp_path: Path) -> None:
    written = export(example(tmp_path), tmp_path / "out")
    assert written["verdict"] == 5 * 6 and written["alignment"] == 4
    rows = [json.loads(line) for line in (tmp_path / "out" / "verdict.jsonl").read_text().splitlines()]
    assert len(rows) == 30
    assert rows[0]["values"] == {"hallucinated": 2.0, "mentions": 4.0, "correct": 0.0, "asked": 1.0}
    assert {file.stem for file in (tmp_path / "out").iterdir()} == set(written)


def test_parquet_has_types(tmp_path: Path) -> None:
    export(example(tmp_path), tmp_path / "out", "parquet", ["gap", "evaluation"])
    gap = pq.read_table(tmp_path / "out" / "gap.parquet")
    assert str(gap.schema.field("gap").type) == "double" and gap.num_rows == 4 * 2 * 2 * 6
    evaluation = pq.read_table(tmp_path / "out" / "evaluation.parquet").to_pylist()[0]
    assert evaluation["n"] == 6 and json.loads(evaluation["metrics"])["chair"]["value"] == 50.0


def test_unknown_tables_and_a_file_in_the_way_are_errors(tmp_path: Path) -> None:
    store = example(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'verdict'"):
        export(store, tmp_path / "out", tables=["verdicts"])
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(UsageError, match=r"/file is a file.* name a directory"):
            export(store, folder)
    (tmp_path / "out" / "gap.jsonl").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"gap\.jsonl is a directory"):
        export(store, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["gap.jsonl"], "before anything is written"


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == code, result.output
    return result


def test_status_names_what_is_unfinished_and_how_to_go_on(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.start_alignment("stopped", method="gap", seed=0, panel="", key="k", config={})
    store.start_alignment("ready", method="gap", seed=0, panel="", key="k", config={})
    store.finish_alignment("ready", status="done", model_dir="m", seconds=1.0)
    facts = json.loads(run("status", "--json", "--db", str(store.path)).stdout)
    (stopped,) = facts["unfinished"]
    assert (stopped["name"], stopped["status"]) == ("stopped", "interrupted"), "no living process holds it"
    assert stopped["where"].startswith("stopped: interrupted before step 1.")
    assert stopped["resume"] in facts["next"] and "--name stopped" in stopped["resume"]
    (lacking,) = facts["incomplete"]
    again = lacking.pop("again")
    assert lacking == {"run": "dama-s1", "benchmark": "amber", "scored": 5, "of": 6, "failed": 1, "mend": False}
    assert again == f"python cli.py bench --model run:dama-s1 --db {store.path}" and again in facts["next"]
    assert f"python cli.py bench --model run:ready --db {store.path}" in facts["next"]
    assert stopped["resume"].endswith(f" --db {store.path}"), "another file would be given what this one lacks"
    assert "5 of 6 scored" in run("status", "--db", str(store.path)).stdout


def test_a_new_store_says_what_to_do(tmp_path: Path) -> None:
    assert "python cli.py demo" in run("status", "--db", str(tmp_path / "new.sqlite")).stdout


def test_the_file_is_counted_checked_shrunk_and_copied(tmp_path: Path) -> None:
    store = example(tmp_path)
    db = ("--json", "--db", str(store.path))
    assert json.loads(run("db", *db).stdout)["verdict"] == 30
    assert json.loads(run("db", "check", *db).stdout)["state"] == "sound"
    assert json.loads(run("db", "vacuum", *db).stdout)["bytes"] > 0
    copy = tmp_path / "copy.sqlite"
    run("db", "backup", str(copy), *db)
    assert json.loads(run("db", "--json", "--db", str(copy)).stdout)["verdict"] == 30
    assert "exists already" in run("db", "backup", str(copy), *db, code=2).output
    assert "db backup FILE" in run("db", "backup", *db, code=2).output


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.db.execute("PRAGMA foreign_keys = OFF")
    with store.db.conn:
        store.db.conn.execute("DELETE FROM evaluation WHERE run = 'base'")
    assert "verdict holds a row without its evaluation" in run("db", "check", "--db", str(store.path), code=1).output


def test_show_marks_the_run_and_cuts_long_answers(tmp_path: Path) -> None:
    store = example(tmp_path)
    with store.db.conn:
        store.db.conn.execute("UPDATE verdict SET answer = ?", ["[bold]dog[/nonsense] " * 1000])
    text = run("show", "dama-s1", "--samples", "6", "--db", str(store.path)).stdout
    assert "dama-s1" in text and "5/6" in text and "no reply" in text
    assert "[bold]dog[/nonsense]" in text and "(21,000 characters)" in text
    assert len(text) < 20_000


@pytest.mark.parametrize("kind", ["table", "markdown", "html", "latex", "csv", "json"])
def test_an_empty_store_breaks_no_format(tmp_path: Path, kind: str) -> None:
    Store(tmp_path / "new.sqlite")
    run("leaderboard", "--format", kind, "--out", str(tmp_path / "made.html"), "--db", str(tmp_path / "new.sqlite"))
    assert (tmp_path / "made.html").exists()


def test_a_store_of_a_newer_version_is_refused_with_advice(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.db.execute("PRAGMA user_version = 99")
    store.db.conn.commit()
    store.close()
    text = run("leaderboard", "--format", "html", "--db", str(tmp_path / "results.sqlite"), code=1).output
    assert "newer version" in text and "Upgrade" in text


def test_plots_are_svg_and_png(tmp_path: Path) -> None:
    store = example(tmp_path)
    run("leaderboard", "--plots", str(tmp_path / "plots"), "--db", str(store.path))
    kinds = sorted(file.suffix for file in (tmp_path / "plots").iterdir() if file.name.startswith("amber"))
    assert kinds == [".png", ".svg"]
