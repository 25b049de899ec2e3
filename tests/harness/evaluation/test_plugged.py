"""Rubbish that another package's benchmark, judge or model returns is named and never scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import HarnessError
from harness.evaluation.generate import generate
from harness.evaluation.plugged import each_once
from harness.evaluation.resolve import load
from harness.evaluation.score import evaluate
from harness.protocols.benchmark import BenchmarkData, Metric, Sample, Verdict
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Answer
from harness.store import Store
from tests.harness.evaluation.test_score import SUBJECT, Echo, Grades, Scripted

NONE = Reply(None, "", "the judge gave no reply")


@dataclass(frozen=True, kw_only=True)
class Odd(Grades):
    """Grades, whose data, verdict of sample "b" and metrics can be rubbish."""

    data: Any = None
    verdict_of_b: Any = None
    odd_metrics: Any = None

    def load(self, root: Path) -> BenchmarkData:
        return cast(BenchmarkData, self.data)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if sample.id == "b" and self.verdict_of_b is not None:
            return cast(Verdict, self.verdict_of_b)
        return super().verdict(sample, answer, replies)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return super().metrics(samples) if self.odd_metrics is None else cast(list[Metric], self.odd_metrics)


def evaluated(tmp_path: Path, benchmark: Grades, judge: Judge) -> Any:
    data = Grades().load(tmp_path)
    answers = {sample.id: Answer(sample.id) for sample in data.samples}
    return evaluate(Store(tmp_path / "r.sqlite"), benchmark, data, answers, judge, subject=SUBJECT)


def judge() -> Scripted:
    return Scripted({(text, 0): grade for text, grade in (("a", "1"), ("b", "2"), ("c", "3"))})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "benchmark grades: load gives None, expected a BenchmarkData"),
        (["a"], r"load gives \['a'\], expected a BenchmarkData"),
        (BenchmarkData(cast(Any, ["a"]), "1"), "load, sample 0 gives 'a', expected a Sample"),
        (BenchmarkData([Sample(cast(str, 3), "q")], "1"), "sample 0 gives .*expected a Sample whose id"),
    ],
)
def test_what_is_no_data_is_named(tmp_path: Path, data: Any, said: str) -> None:
    with pytest.raises(HarnessError, match=said.replace("grades", Grades.name)):
        load(Odd(data=data), tmp_path)


@pytest.mark.parametrize(
    "verdict", ["good", 1.0, {"grade": 1.0}, Verdict({"grade": math.nan}), Verdict({"grade": cast(float, "1")})]
)
def test_what_is_no_verdict_is_a_failed_sample_and_no_score(tmp_path: Path, verdict: Any) -> None:
    record = evaluated(tmp_path, Odd(verdict_of_b=verdict), judge())
    assert (record.n, record.n_scored, record.n_failed) == (3, 2, 1)
    assert record.metrics["grade"]["value"] == 2.0, "the mean of 1 and 3"


def test_what_are_no_metrics_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="metrics gives 'accuracy', expected a list of Metric"):
        evaluated(tmp_path, Odd(odd_metrics="accuracy"), judge())


class Careless(Scripted):
    """A judge that passes the second question over, or yields what is given in its place."""

    instead: Any = None

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        for position, request in enumerate(requests):
            if position != 1:
                yield position, Reply(self.script[request.answer, 0], "m")
            elif self.instead is not None:
                yield self.instead


def test_a_question_that_a_judge_passes_over_is_a_failed_sample(tmp_path: Path) -> None:
    record = evaluated(tmp_path, Grades(), Careless(judge().script))
    assert (record.n_scored, record.n_failed) == (2, 1) and record.metrics["grade"]["value"] == 2.0
    assert record.info["failures"] == {"judge: the judge gave no reply": 1}


@pytest.mark.parametrize(
    "given", ["yes", (1, "yes"), (9, Reply("1", "m")), (0, Reply("1", "m")), (-1, Reply("1", "m")),
              ("1", Reply("1", "m")), (1, Answer("1"))],
)  # fmt: skip
def test_what_a_judge_cannot_have_meant_is_named_and_not_scored(tmp_path: Path, given: Any) -> None:
    careless = Careless(judge().script)
    careless.instead = given
    with pytest.raises(HarnessError, match=r"judge openai:scripted: ask gives .*each once, and a Reply"):
        evaluated(tmp_path, Grades(), careless)


def test_a_question_that_a_model_passes_over_is_a_failed_answer(tmp_path: Path) -> None:
    class Forgetful(Echo):
        def generate(self, samples: Sequence[Sample], decoding: Any) -> Iterator[tuple[int, Answer]]:
            return ((position, answer) for position, answer in super().generate(samples, decoding) if position != 1)

    samples = [Sample(name, f"What is {name}?") for name in "abc"]
    answers = generate(Store(tmp_path / "r.sqlite"), Forgetful(), samples, Grades().decoding)
    assert {name for name, answer in answers.items() if answer.error == "the model gave no answer"} == {"b"}


def test_positions_come_as_they_are_made_and_the_missing_ones_last() -> None:
    made = each_once(iter([(2, Reply("c", "m")), (0, Reply("a", "m"))]), 3, "judge x: ask", NONE)
    assert [(position, reply.text) for position, reply in made] == [(2, "c"), (0, "a"), (1, None)]
