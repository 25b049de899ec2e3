"""Judging through the store: what is asked once, what is taken from the store, and whose name the column bears."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.chat.settings import ChatSettings
from harness.evaluation.judge import JudgeUsage, judge_answers
from harness.evaluation.score import evaluate
from harness.judges.openai import OpenAIJudge
from harness.protocols.judge import Judge
from harness.protocols.model import Answer
from harness.store import EvaluationRecord, Store
from tests.harness.evaluation.test_score import SUBJECT, Grades
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
