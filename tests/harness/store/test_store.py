from __future__ import annotations

import dataclasses
import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from harness.errors import HarnessError, UsageError
from harness.protocols.benchmark import Verdict
from harness.protocols.judge import Reply
from harness.protocols.model import Answer
from harness.store import NewEvaluation, Store, alignments, answers, evaluations
from harness.store.evaluations import NOT_STORED
from harness.store.migrations import MIGRATIONS


def evaluation(run: str = "base", key: str = "k") -> NewEvaluation:
    return NewEvaluation(
        key=key, run=run, model="hf:x", model_key="m", alignment=None, benchmark="amber", settings={}, version="1",
        mode="plain", judge="none", data_key="d", data_dir=".", decoding={}, n=1, n_scored=1, n_failed=0,
        metrics={"chair": {"value": 5.0}}, info={},
    )  # fmt: skip


def test_a_reply_is_that_of_its_run_and_attempt_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    first, second = Reply("hm", "gpt-4"), Reply("Rating: 3", "gpt-4")
    store.save_reply("openai:gpt-4", "http://x", "q1", 0, 0, first)
    assert store.reply("openai:gpt-4", "http://x", "q1", 0, 1) is None
    assert store.reply("openai:gpt-4", "http://x", "q1", 1, 0) is None
    assert store.reply("openai:gpt-4", "http://y", "q1", 0, 0) is None
    store.save_reply("openai:gpt-4", "http://x", "q1", 0, 1, second)
    replies = [store.reply("openai:gpt-4", "http://x", "q1", 0, attempt) for attempt in (0, 1)]
    assert replies == [first, second]


def test_answers_and_replies_come_back_as_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_answers("model", [("q1", Answer("a cat", tokens=2)), ("q2", Answer(None, error="no image"))])
    assert store.answers("model", ["q1", "q2", "q3"]) == {
        "q1": Answer("a cat", tokens=2),
        "q2": Answer(None, error="no image"),
    }
    reply = Reply("Rating: 3", "gpt-4", usage={"total_tokens": 7})
    store.save_reply("openai:gpt-4", "http://x", "q1", 0, 1, reply)
    assert store.replies("openai:gpt-4", "http://x") == {("q1", 0, 1): reply}
    assert store.replies("openai:gpt-4", "http://y") == {}


def test_an_evaluation_of_the_same_key_replaces_the_earlier_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    for value in (1.0, 2.0):
        store.save_evaluation(evaluation(), [("1", 0, "g", "yes", Verdict({"correct": value}))])
    (stored,) = store.evaluations()
    (verdict,) = store.verdicts(stored.id)
    assert verdict.counts == {"correct": 2.0}
    assert store.db["verdict"].count == 1


def test_an_alignment_with_other_settings_starts_a_new_log(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key="a", config={}).log_step(1, {"loss": 0.7})
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key="a", config={})
    assert store.train_log("dpo-s0") == [{"step": 1, "loss": 0.7}]
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key="b", config={})
    assert store.train_log("dpo-s0") == []


def test_an_unknown_run_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.start_alignment("dama-s0", method="dama", seed=0, panel="", key="a", config={})
    with pytest.raises(UsageError, match="Did you mean 'dama-s0'"):
        store.alignment("dama-s1")


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(HarnessError, match="newer version"):
        Store(path)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.write_text("not a database, and long enough not to be taken for an empty one" * 20)
    with pytest.raises(HarnessError, match="Name another with --db"):
        Store(path)
    assert path.read_text().startswith("not a database")


def _write(path: Path, worker: int) -> None:
    store = Store(path)
    for i in range(30):
        store.save_answers(f"m{worker}", [(f"q{i}", Answer("x"))])


def test_several_processes_open_and_write_one_new_file(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(path, i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert Store(path).db["generation"].count == 120


def test_a_failure_takes_the_place_of_no_text(tmp_path: Path) -> None:
    store, key = Store(tmp_path / "r.sqlite"), ("openai:j", "http://x", "q", 0, 0)
    store.save_answers("m", [("q", Answer("paid for", tokens=2)), ("r", Answer(None, "refused"))])
    store.save_answers("m", [("q", Answer(None, "no connection")), ("r", Answer(None, "no connection"))])
    assert store.answers("m", ["q", "r"]) == {
        "q": Answer("paid for", tokens=2),
        "r": Answer(None, "no connection"),
    }
    store.save_answers("m", [("q", Answer("anew"))])
    assert store.answers("m", ["q"])["q"].text == "anew"
    refused = Reply(None, "other", "another model answered", {"reply": "Rating: 4"})
    given = Reply("Rating: 3", "j")
    for replies, kept in [
        ([Reply(None, "", "timed out"), refused], refused),
        ([refused, Reply(None, "", "timed out")], refused),
        ([refused, given, refused, Reply(None, "", "timed out")], given),
    ]:
        for reply in replies:
            store.save_reply(*key, reply)
        assert store.reply(*key) == kept


def test_a_poorer_evaluation_does_not_replace_a_better_one_and_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    good = store.save_evaluation(evaluation(), [("1", 0, "g", "yes", Verdict({"correct": 1.0}))])
    failed = dataclasses.replace(evaluation(), n_scored=0, n_failed=1, metrics={}, info={"failures": {"dead": 1}})
    record = store.save_evaluation(failed, [("1", 0, "g", None, Verdict({}, error="dead"))])
    assert (record.n_scored, record.n_failed, record.metrics, record.id) == (0, 1, {}, NOT_STORED)
    (note,) = record.info["notes"]
    assert note.startswith("0 of 1 samples were scored now, fewer than the 1 of the stored evaluation")
    assert store.evaluations() == [good] and store.verdicts(good.id)[0].counts == {"correct": 1.0}
    again = store.save_evaluation(evaluation(), [("1", 0, "g", "no", Verdict({"correct": 0.0}))])
    assert store.evaluations() == [again], "one of as many scored samples replaces it"


def test_halves_of_characters_are_stored_as_their_escapes(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_answers("m", [("q", Answer("a \ud83d cat"))])
    store.save_reply("j", "x", "q", 0, 0, Reply("Größe \udc00", "j"))
    assert store.answers("m", ["q"])["q"].text == "a \\ud83d cat"
    assert store.replies("j", "x")["q", 0, 0].text == "Größe \\udc00"


def test_the_order_of_what_is_stored_is_not_the_clocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes back a day at every step."""
    times = iter(f"2026-01-{day:02}T00:00:00.000+00:00" for day in range(28, 0, -1))
    for module in (alignments, evaluations, answers):
        monkeypatch.setattr(module, "now", lambda: next(times))
    store = Store(tmp_path / "r.sqlite")
    store.save_evaluation(evaluation("base", "1"), [])
    for name in ("z-first", "a-second"):
        store.start_alignment(name, method="dpo", seed=0, panel="", key="a", config={})
        store.save_evaluation(evaluation(name, name), [])
    assert [e.run for e in store.evaluations()] == ["base", "z-first", "a-second"]
    numbers = [e.id for e in store.evaluations()]
    first, second = (record.number for record in store.alignments())
    assert numbers[0] < first < numbers[1] < second < numbers[2]


def test_the_number_of_what_was_removed_last_makes_nothing_outdated(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_evaluation(evaluation("old", "1"), [])
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key="a", config={})
    store.remove_run("old")
    assert store.save_evaluation(evaluation("dpo-s0", "2"), []).id > store.alignment("dpo-s0").number


def test_a_probe_takes_the_place_of_an_incomplete_one_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    assert store.probe("k") is None
    assert store.save_probe("k", {"state": "note"}, complete=False) == {"state": "note"}
    assert store.save_probe("k", {"state": "ok"}, complete=True) == {"state": "ok"}
    assert store.save_probe("k", {"state": "note"}, complete=False) == {"state": "ok"}
    assert Store(tmp_path / "r.sqlite").probe("k") == ({"state": "ok"}, True)
