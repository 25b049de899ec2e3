"""From every verdict to the replies that it was read off."""

from __future__ import annotations

from pathlib import Path

from harness.evaluation.score import evaluate
from harness.protocols.benchmark import Verdict
from harness.protocols.judge import Reply
from harness.protocols.model import Answer
from harness.store import Judgement, Store
from harness.store.judgements import GONE, REPLACED
from tests.harness.evaluation.test_score import SUBJECT, Grades, Scripted
from tests.harness.store.test_store import evaluation

SCRIPT: dict[tuple[str, int], str | None] = {("x", 0): "well", ("x", 1): "5", ("y", 0): "2", ("z", 0): None}


def graded(store: Store) -> dict[tuple[str, int], list[Judgement] | None]:
    """Sample a is graded at the second attempt, b at the first, of c the call fails, d has no answer."""
    benchmark = Grades(ids=("a", "b", "c", "d"))
    answers = {"a": Answer("x"), "b": Answer("y"), "c": Answer("z"), "d": Answer(None, error="cut")}
    record = evaluate(store, benchmark, benchmark.load(Path()), answers, Scripted(SCRIPT), subject=SUBJECT)
    return store.judgements(record.id)


def shown(judgements: list[Judgement] | None) -> list[tuple[int, str, str | None, str | None]]:
    assert judgements is not None
    return [(each.attempt, each.judge, each.reply, each.error) for each in judgements]


def test_a_verdict_leads_to_every_reply_it_was_read_off_also_to_the_unreadable_and_the_failed(tmp_path: Path) -> None:
    found = graded(Store(tmp_path / "r.sqlite"))
    assert shown(found["a", 0]) == [(0, "scripted", "well", None), (1, "scripted", "5", None)]
    assert shown(found["b", 0]) == [(0, "scripted", "2", None)]
    assert shown(found["c", 0]) == [(0, "scripted", None, "HTTP 500")]
    assert found["d", 0] == [], "no judge was asked"


def test_the_key_of_the_prompt_is_that_of_what_was_asked(tmp_path: Path) -> None:
    """Two attempts at one answer ask differently, and are stored under different keys."""
    store = Store(tmp_path / "r.sqlite")
    prompts = [each.prompt for each in graded(store)["a", 0] or ()]
    assert len(set(prompts)) == 2 and set(prompts) <= {row["question_key"] for row in store.rows("reply")}


def test_replies_that_were_recalled_are_found_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    assert graded(store) == graded(store)


def test_a_reply_that_took_anothers_place_or_is_gone_is_not_shown_for_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    number = 1
    before = graded(store)
    prompt = (before["b", 0] or [])[0].prompt
    store.save_reply("openai:scripted", "http://127.0.0.1", prompt, 0, 0, Reply("6", "scripted"))
    assert shown(store.judgements(number)["b", 0]) == [(0, "scripted", None, REPLACED)]
    with store.transaction() as db:
        db.execute("DELETE FROM reply WHERE question_key = ?", [prompt])
    assert shown(store.judgements(number)["b", 0]) == [(0, "", None, GONE)]


def test_of_a_verdict_without_keys_nothing_is_recorded(tmp_path: Path) -> None:
    """As earlier versions stored it."""
    store = Store(tmp_path / "r.sqlite")
    record = store.save_evaluation(evaluation(), [("1", 0, "g", "yes", Verdict({"correct": 1.0}))])
    assert store.judgements(record.id) == {("1", 0): None}
