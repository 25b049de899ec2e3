"""The views say in SQL alone what is stored, row by row."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.conversation import Image
from harness.protocols.judge import Reply
from harness.store import ReadReply, Store
from harness.store.migrations import schema, tables_of
from harness.store.views import VIEWS
from tests.harness.store.test_store import evaluation

DETAILS = {"mentions": ["puppy", "cat", "cat", "cat"], "hallucinated": ["cat", "cat"], "classes": {"puppy": "dog"}}


def store_of(folder: Path) -> Store:
    """A run of seed 1 that was asked about one picture, judged twice, and the base without an alignment."""
    store = Store(folder / "r.sqlite")
    store.save_samples("d", [Sample("1", "What is it?", Image(path=folder / "1.jpg"), group="g")])
    store.start_alignment("dpo-s1", method="dpo", seed=1, panel="clean", key="a", config={})
    reply = Reply("Rating: 4", "judge-2026")
    store.save_reply("openai:j", "http://x", "asked", 0, 0, reply)
    record = replace(
        evaluation("dpo-s1", "k1"),
        alignment="dpo-s1",
        data_key="d",
        decoding={"eos_bias": -1.0},
        judge="openai:judge-2026",
        info={"judging": {"asked": "openai:j", "endpoint": "http://x"}},
        metrics={"chair": {"value": 50.0, "low": None, "high": 60.0, "unit": "%", "higher_is_better": False}},
    )
    verdicts = [("1", run, "g", "A puppy.", Verdict({"n": 1.0}, details=DETAILS)) for run in (0, 1)]
    store.save_evaluation(record, verdicts, {("1", 0): [ReadReply.of(0, "asked", reply)]})
    store.save_evaluation(evaluation("base", "k2"), [("1", 0, "g", "No.", Verdict({}, error="judge: no reply"))])
    return store


def sql(store: Store, query: str) -> list[tuple[Any, ...]]:
    """What `sqlite3 FILE QUERY` prints: another connection, without anything of ours."""
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        return db.execute(query).fetchall()


def test_an_answer_stands_with_its_question_its_run_and_its_seed(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    query = "SELECT run, method, seed, panel, benchmark, sample, question, answer, error, eos_bias FROM answers"
    assert sql(store, f"{query} ORDER BY evaluation") == [
        ("dpo-s1", "dpo", 1, "clean", "amber", "1", "What is it?", "A puppy.", None, -1.0),
        ("base", "base", None, None, "amber", "1", "What is it?", "No.", "judge: no reply", None),
    ]
    assert [Path(row[0]).name for row in sql(store, "SELECT image FROM answers")] == ["1.jpg"] * 2


def test_every_mention_is_a_row_and_as_many_are_hallucinated_as_the_verdict_says(tmp_path: Path) -> None:
    """Of three cats two are hallucinated (a rule may forgive one); a word stands under its object."""
    query = "SELECT object, word, hallucinated FROM mentions WHERE judge_run = 0 ORDER BY object, hallucinated"
    rows = [("cat", "cat", 0), ("cat", "cat", 1), ("cat", "cat", 1), ("dog", "puppy", 0)]
    assert sql(store_of(tmp_path), query) == rows


def test_a_judgement_stands_with_its_prompt_and_the_judge_as_it_called_itself(tmp_path: Path) -> None:
    query = "SELECT run, sample, judge_run, attempt, prompt, judge_returned, reply FROM judgements"
    assert sql(store_of(tmp_path), query) == [("dpo-s1", "1", 0, 0, "asked", "judge-2026", "Rating: 4")]


def test_a_figure_stands_with_its_interval_and_direction(tmp_path: Path) -> None:
    query = "SELECT metric, value, low, high, unit, higher_is_better FROM scores WHERE run = 'dpo-s1'"
    assert sql(store_of(tmp_path), query) == [("chair", 50.0, None, 60.0, "%", 0)]


def test_rows_of_a_run_that_was_aligned_anew_since_are_marked(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert sql(store, "SELECT DISTINCT outdated FROM answers") == [(0,)]
    store.start_alignment("dpo-s1", method="dpo", seed=1, panel="clean", key="b", config={})
    assert sql(store, "SELECT run, outdated FROM answers ORDER BY run") == [("base", 0), ("dpo-s1", 1)]


def test_details_that_are_no_json_hide_no_other_row(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.write("UPDATE verdict SET details = ? WHERE judge_run = 1", [('{"mentions": ["x"], "score": NaN}',)])
    assert sql(store, "SELECT count(*), sum(hallucinated) FROM mentions") == [(4, 2)]


def test_no_view_has_the_name_of_a_table_and_every_file_has_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    assert not VIEWS.keys() & schema().keys() and tables_of(store.connection, "view").keys() == VIEWS.keys()


def test_a_table_of_ones_own_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    Store(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript("DROP VIEW scores; CREATE TABLE scores (mine); PRAGMA user_version = 8")
    assert Store(path).columns("scores") == {"mine": ""}


def test_what_is_read_here_is_not_read_off_a_table_of_ones_own(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    (number,) = (each.id for each in store.evaluations(run="dpo-s1"))
    mentions, judgements = store.mentions(number), store.judgements(number)
    assert mentions["1", 0] == {"dog": (1, 0), "cat": (3, 2)}
    assert [each.reply for each in judgements["1", 0] or ()] == ["Rating: 4"]
    store.close()
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        for name in ("mentions", "judgements"):
            db.executescript(f"DROP VIEW {name}; CREATE TABLE {name} (mine)")
    store = Store(store.path)
    assert (store.mentions(number), store.judgements(number)) == (mentions, judgements)
    assert store.columns("mentions") == store.columns("judgements") == {"mine": ""}
