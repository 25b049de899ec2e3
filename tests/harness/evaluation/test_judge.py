"""Judging through the store: what is asked once, what is taken from the store, and whose name the column bears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.chat.settings import ChatSettings
from harness.evaluation.judge import JudgeUsage, judge_answers
from harness.evaluation.score import evaluate
from harness.judges.openai import OpenAIJudge
from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.judge import Judge
from harness.protocols.model import Answer
from harness.store import EvaluationRecord, Store
from tests.harness.evaluation.test_score import SUBJECT, Grades, Scripted
from tests.harness.fault_server import FaultServer, completion


def judge_at(server: FaultServer, name: str = "judge", **settings: Any) -> Judge:
    quick = ChatSettings(first_wait=0.001, tries=2, timeout=30.0)
    return OpenAIJudge(f"{name}@{server.url}", settings=replace(quick, **settings))


def graded(store: Store, judge: Judge, answers: dict[str, str]) -> EvaluationRecord:
    benchmark = Grades()
    given = {i: Answer(text) for i, text in answers.items()}
    return evaluate(store, benchmark, benchmark.load(Path()), given, judge, subject=SUBJECT)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "r.sqlite")


def test_the_same_question_about_two_samples_is_asked_once(store: Store) -> None:
    """Otherwise two replies would meet under one key, and a second scoring could differ from the first."""
    with FaultServer(lambda prompt, nth: str(nth)) as server:
        first = graded(store, judge_at(server), {"a": "same", "b": "same", "c": "other"})
        again = graded(store, judge_at(server), {"a": "same", "b": "same", "c": "other"})
        assert len(server.calls) == 2
    assert first.metrics == again.metrics and first.n_scored == 3


def test_a_reply_refused_for_its_model_is_kept_and_counts_once_that_is_allowed(store: Store) -> None:
    answers = {"a": "x", "b": "y"}
    with FaultServer(lambda prompt, nth: completion("4", model="other")) as server:
        refused = graded(store, judge_at(server), answers)
        assert (refused.n_scored, refused.n_failed, refused.metrics["grade"]["value"]) == (0, 2, None)
        allowed = graded(store, judge_at(server, allow_other_model=True), answers)
        assert (allowed.n_scored, allowed.metrics["grade"]["value"], allowed.judge) == (2, 4.0, "openai:other")
        assert len(server.calls) == 2
        assert [e.judge for e in store.evaluations()] == ["openai:other"], "the failed evaluation is replaced"


def test_replies_of_an_allowed_model_do_not_count_where_it_is_not_allowed(store: Store) -> None:
    with FaultServer(lambda prompt, nth: completion("4", model="other" if nth == 0 else "judge")) as server:
        graded(store, judge_at(server, allow_other_model=True), {"a": "x"})
        strict = graded(store, judge_at(server), {"a": "x"})
        assert (strict.n_scored, strict.judge, len(server.calls)) == (1, "openai:judge", 2)


def test_the_column_is_the_returned_release_and_the_tokens_are_recorded(store: Store) -> None:
    with FaultServer(lambda prompt, nth: completion("4", model="gpt-4o-2024-11-20")) as server:
        record = graded(store, judge_at(server, "gpt-4o"), {"a": "x", "b": "y"})
        again = graded(store, judge_at(server, "gpt-4o"), {"a": "x", "b": "y"})
    assert record.judge == again.judge == "openai:gpt-4o-2024-11-20"
    assert record.info["judging"]["tokens"] == {"prompt_tokens": 20, "completion_tokens": 10}
    assert record.info["judging"]["usd"] == pytest.approx((20 * 2.5 + 10 * 10) / 1e6)
    assert record.info["judging"]["models"] == {"gpt-4o-2024-11-20": 2}
    assert again.info == record.info, "stored replies count as they did"


def test_an_empty_reply_is_a_reply(store: Store) -> None:
    """It was paid for: it is unreadable, asked once more, and not a third time by the next scoring."""
    with FaultServer(lambda prompt, nth: "") as server:
        for _ in range(2):
            assert graded(store, judge_at(server), {"a": "x"}).n_failed == 1
        assert len(server.calls) == 2


def test_a_tally_counts_replies_and_failures(store: Store) -> None:
    from tests.harness.fault_server import http

    benchmark, usage_total = Grades(), JudgeUsage()
    with FaultServer(lambda prompt, nth: http(400) if "'x'" in prompt else "3") as server:
        given = {"a": Answer("x"), "b": Answer("y")}
        judge_answers(
            store, benchmark, benchmark.load(Path()).samples, given, judge_at(server), usage_total=usage_total
        )
    assert (usage_total.replies, usage_total.failed) == (1, 1)


ENDINGS = [
    ("length", "is cut at its token limit"),
    ("max_tokens", "is cut at its token limit"),
    ("MAX_TOKENS", "is cut at its token limit"),
    ("content_filter", "was stopped by a content filter"),
    ("tool_calls", "ended in a call of a tool"),
]


@pytest.mark.parametrize(("reason", "said"), ENDINGS)
def test_a_reply_that_did_not_come_to_its_end_is_an_error_row(store: Store, reason: str, said: str) -> None:
    choice = {"message": {"role": "assistant", "content": "4"}, "finish_reason": reason}
    with FaultServer(lambda prompt, nth: completion("", choices=[choice])) as server:
        record = graded(store, judge_at(server), {"a": "x"})
    (error,) = record.info["failures"]
    assert (record.n_scored, record.metrics["grade"]["value"]) == (0, None) and said in error


def test_a_reply_of_all_its_tokens_and_no_finish_reason_is_cut(store: Store) -> None:
    choice = {"message": {"role": "assistant", "content": "4"}, "finish_reason": None}
    with FaultServer(lambda prompt, nth: completion("", choices=[choice])) as server:  # it counts 5 tokens
        whole = graded(store, judge_at(server, extra_body={"max_tokens": 6}), {"a": "x"})
        cut = graded(store, judge_at(server, extra_body={"max_tokens": 5}), {"a": "x"})
    assert (whole.n_scored, cut.n_scored) == (1, 0)
    assert "1 of 1 replies of the judge reached its token limit and are cut" in cut.info["notes"]


@dataclass(frozen=True, kw_only=True)
class Fragile(Grades):
    """Its author expects numbers; "huge" is counted as no number."""

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        grade = float(replies[-1])
        return Verdict({"n": 1, "grade": grade, "official_n": 1, "official_grade": 0.0})


def test_what_a_benchmark_cannot_read_fails_its_own_sample_and_not_the_run(store: Store) -> None:
    benchmark = Fragile()
    script = {("a", 0): "4", ("b", 0): "four", ("c", 0): "1e999"}
    given = {i: Answer(i) for i in "abc"}
    record = evaluate(store, benchmark, benchmark.load(Path()), given, Scripted(dict(script)), subject=SUBJECT)
    assert (record.n_scored, record.n_failed, record.metrics["grade"]["value"]) == (1, 2, 4.0)
    assert set(record.info["failures"]) == {
        "no verdict: ValueError: could not convert string to float: 'four'",
        "no verdict: it counts what is no finite number",
    }


@pytest.mark.parametrize("odd", [["4"], 4, {"text": "4"}, b"4", 4.0])
def test_a_reply_that_is_no_text_is_a_failed_call(store: Store, odd: Any) -> None:
    record = evaluate(
        store, Grades(), Grades().load(Path()), {"a": Answer("a")}, Scripted({("a", 0): odd}), subject=SUBJECT
    )
    assert record.info["failures"] == {f"judge: the reply is {type(odd).__name__}, not text": 1}
