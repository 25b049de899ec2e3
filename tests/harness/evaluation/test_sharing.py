"""Several processes on one results file: what one of them asks, the others wait for, and nothing is paid twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.evaluation.judge import judge_answers
from harness.evaluation.sharing import generate_once, turns
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Answer, Model
from harness.store import Store
from harness.store.claims import Claims
from tests.harness.evaluation.test_score import Echo, Grades
from tests.harness.store.old_files import in_child

IDS = tuple("abcdefgh")
SAMPLES = [Sample(i, f"What is {i}?", group=i) for i in IDS]


def asked(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8").split() if log.exists() else []


@dataclass
class Paid(Judge):
    """A judge of 10 ms a reply; ``log`` gets a line for each that is paid for. It dies before reply ``dies``."""

    log: Path
    dies: int = -1
    name: str = "openai:paid"
    endpoint: str = "http://127.0.0.1"

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        for i, request in enumerate(requests):
            if i == self.dies:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{request.sample_id}\n")
            yield i, Reply("4", "paid")


@dataclass
class Slow(Model):
    """A model that is paid for, as the judge above."""

    log: Path
    name: str = "slow"
    spec: str = "openai:slow"
    key: str = "slow"

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        for i, sample in enumerate(samples):
            time.sleep(0.01)
            with self.log.open("a", encoding="utf-8") as log:
                log.write(f"{sample.id}\n")
            yield i, Answer(sample.id)


def score_all(path: Path, judge: Judge) -> None:
    answers = {i: Answer(f"answer {i}") for i in IDS}
    judged = judge_answers(Store(path), Grades(ids=IDS), SAMPLES, answers, judge)
    assert [item.verdict.counts["grade"] for item in judged] == [4.0] * len(IDS)


def both(*works: Callable[[], None]) -> list[int]:
    """The exit codes of several works in processes of their own, at the same time."""
    codes: list[int] = []
    threads = [threading.Thread(target=lambda work=work: codes.append(in_child(work))) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(codes)


def test_two_that_score_the_same_at_once_pay_each_reply_once(tmp_path: Path) -> None:
    path, log = Store(tmp_path / "r.sqlite").path, tmp_path / "paid"
    assert both(*[lambda: score_all(path, Paid(log))] * 3) == [0, 0, 0]
    assert sorted(asked(log)) == sorted(IDS)


def test_what_a_killed_one_had_not_paid_for_the_other_asks(tmp_path: Path) -> None:
    path, log = Store(tmp_path / "r.sqlite").path, tmp_path / "paid"
    assert both(lambda: score_all(path, Paid(log, dies=3)), lambda: score_all(path, Paid(log))) in ([-9, 0], [0, 0])
    score_all(path, Paid(log))
    assert sorted(asked(log)) == sorted(IDS)


def test_two_that_bench_one_model_at_once_have_it_answer_each_question_once(tmp_path: Path) -> None:
    path, log = Store(tmp_path / "r.sqlite").path, tmp_path / "answered"

    def bench() -> None:
        answers = generate_once(Store(path), Slow(log), SAMPLES, Decoding())
        assert {i: answer.text for i, answer in answers.items()} == {i: i for i in IDS}

    assert both(bench, bench) == [0, 0]
    assert sorted(asked(log)) == sorted(IDS)


def test_asked_anew_a_dead_endpoint_destroys_no_stored_answer(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    generate_once(store, Echo(), SAMPLES, Decoding())
    failed = generate_once(store, Echo(broken=IDS), SAMPLES, Decoding(), fresh=True)
    assert all(answer.text is None for answer in failed.values()), "the truth of this run"
    assert {i: answer.text for i, answer in generate_once(store, Echo(), SAMPLES, Decoding()).items()} == {
        i: i for i in IDS
    }


def test_turns_are_what_nobody_holds_and_then_what_was_held(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    with Claims(store.path) as other:
        other.take("x", ["b"], 1)
        parts = turns(store, "x", ["a", "b", "c"], poll=0.01)
        assert next(parts) == ["a", "c"]
        threading.Timer(0.1, other.release, ["x", ["b"]]).start()
        assert next(parts) == ["b"]
        parts.close()
        assert other.take("x", ["a", "b", "c"], 3) == ["a", "b", "c"], "all is given back"


@pytest.mark.parametrize("items", [[], ["a"]])
def test_without_a_store_there_is_one_turn(items: list[str]) -> None:
    assert list(turns(None, "x", items)) == ([items] if items else [])
