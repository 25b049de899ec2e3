"""The engine on a benchmark of three samples: what is stored is not asked again, and nothing failed becomes a score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from harness.errors import DataError, UsageError
from harness.evaluation.generate import generate
from harness.evaluation.judge import judge_answers
from harness.evaluation.resolve import load
from harness.evaluation.score import evaluate
from harness.protocols.benchmark import (
    Benchmark,
    BenchmarkData,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Metric,
    Sample,
    Verdict,
    ratio,
)
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Answer, Model
from harness.store import EvaluationSubject, Store


@dataclass(frozen=True, kw_only=True)
class Grades(Benchmark):
    """A judge grades answers from 0 to 6; an unreadable reply counts 0 in the official figure alone."""

    name: ClassVar[str] = "grades"
    paper: ClassVar[str] = ""
    needs_judge: bool = True
    attempts: int = 2
    judge_runs: int = 1
    decoding: Decoding = Decoding(max_new_tokens=8)
    version: str = "1"
    mode: str = "plain"
    ids: tuple[str, ...] = ("a", "b", "c")

    def load(self, root: Path) -> BenchmarkData:
        return BenchmarkData([Sample(i, f"What is {i}?", group=i) for i in self.ids], self.version)

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        return JudgePrompt(f"Grade {answer!r}" + (" again" if attempt else ""))

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if not replies or not replies[-1].isdigit():
            raise JudgeParseError
        grade = float(replies[-1])
        return Verdict({"n": 1, "grade": grade, "official_n": 1, "official_grade": grade})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        return Verdict({"official_n": 1}, error=f"unreadable: {replies[-1]!r}")

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return [
            Metric("grade", ratio("grade", "n", 1.0), True, unit=""),
            Metric("official_grade", ratio("official_grade", "official_n", 1.0), True, unit=""),
        ]


@dataclass
class Scripted(Judge):
    """A judge that replies by (answer, attempt) from a script, and counts what it is asked."""

    script: dict[tuple[str, int], str | None]
    name: str = "openai:scripted"
    endpoint: str = "http://127.0.0.1"
    concurrency: int = 1
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        for i, request in reversed(list(enumerate(requests))):
            self.asked.append((request.sample_id, request.run, request.attempt))
            text = self.script[(request.answer, request.attempt)]
            yield i, Reply(text, "scripted", error=None if text is not None else "HTTP 500")


@dataclass
class Echo(Model):
    """A model that answers with the sample's id, and counts what it is asked; ``broken`` ids fail."""

    name: str = "echo"
    spec: str = "hf:echo"
    key: str = "echo"
    broken: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        for i, sample in enumerate(samples):
            self.asked.append(sample.id)
            yield i, Answer(None, error="bad image") if sample.id in self.broken else Answer(sample.id)


SUBJECT = EvaluationSubject(
    run="r", model="hf:echo", model_key="echo", alignment=None, data_dir=".", settings={}, info={}
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "r.sqlite")


def test_stored_answers_are_not_generated_again_and_failed_ones_are(store: Store) -> None:
    benchmark = Grades()
    samples = benchmark.load(Path()).samples
    first = generate(store, Echo(broken=("b",)), samples, benchmark.decoding)
    assert first["b"].error == "bad image" and first["a"].text == "a"
    second = Echo()
    assert generate(store, second, samples, benchmark.decoding)["b"].text == "b"
    assert second.asked == ["b"]


def test_other_decoding_is_another_answer(store: Store) -> None:
    benchmark, model = Grades(), Echo()
    samples = benchmark.load(Path()).samples
    generate(store, model, samples, Decoding(max_new_tokens=8))
    generate(store, model, samples, Decoding(max_new_tokens=9))
    assert len(model.asked) == 6


def test_answers_made_before_an_interruption_are_kept(store: Store) -> None:
    class Dies(Echo):
        def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
            for position, answer in super().generate(samples, decoding):
                if position == 2:
                    raise KeyboardInterrupt
                yield position, answer

    benchmark = Grades()
    samples = benchmark.load(Path()).samples
    with pytest.raises(KeyboardInterrupt):
        generate(store, Dies(), samples, benchmark.decoding)
    model = Echo()
    generate(store, model, samples, benchmark.decoding)
    assert model.asked == ["c"]


def test_an_unreadable_reply_is_asked_once_more_and_then_an_error(store: Store) -> None:
    script = {("a", 0): "5", ("b", 0): "fine", ("b", 1): "3", ("c", 0): "good", ("c", 1): "very good"}
    benchmark, judge = Grades(), Scripted(dict(script))
    samples = benchmark.load(Path()).samples
    answers = {s.id: Answer(s.id) for s in samples}
    record = evaluate(store, benchmark, benchmark.load(Path()), answers, judge, subject=SUBJECT)
    assert (record.n, record.n_scored, record.n_failed) == (3, 2, 1)
    assert record.metrics["grade"]["value"] == 4.0
    assert record.metrics["official_grade"]["value"] == pytest.approx(8 / 3)
    assert sorted(judge.asked) == [("a", 0, 0), ("b", 0, 0), ("b", 0, 1), ("c", 0, 0), ("c", 0, 1)]


def test_scoring_twice_asks_the_judge_once(store: Store) -> None:
    script = {(i, 0): "4" for i in "abc"}
    benchmark, judge, again = Grades(), Scripted(dict(script)), Scripted(dict(script))
    samples = benchmark.load(Path()).samples
    answers = {s.id: Answer(s.id) for s in samples}
    first = judge_answers(store, benchmark, samples, answers, judge)
    assert judge_answers(store, benchmark, samples, answers, again) == first
    assert len(judge.asked) == 3 and again.asked == []


def test_a_failed_call_is_an_error_row_and_is_asked_again_next_time(store: Store) -> None:
    benchmark = Grades()
    samples = benchmark.load(Path()).samples
    answers = {s.id: Answer(s.id) for s in samples}
    script: dict[tuple[str, int], str | None] = {("a", 0): "6", ("b", 0): None, ("c", 0): "2"}
    record = evaluate(store, benchmark, benchmark.load(Path()), answers, Scripted(script), subject=SUBJECT)
    assert record.n_failed == 1 and record.metrics["grade"]["value"] == 4.0
    failed = next(v for v in store.verdicts(record.id) if v.error)
    assert failed.error == "judge: HTTP 500" and failed.counts == {}
    mended = Scripted({("b", 0): "1"})
    record = evaluate(store, benchmark, benchmark.load(Path()), answers, mended, subject=SUBJECT)
    assert record.n_failed == 0 and record.metrics["grade"]["value"] == 3.0
    assert mended.asked == [("b", 0, 0)]


def test_another_version_or_run_is_another_evaluation_and_the_same_replaces_the_earlier(store: Store) -> None:
    script = {(i, 0): "4" for i in "abc"}
    for version, run in (("1", "r"), ("2", "r"), ("1", "s"), ("1", "r")):
        benchmark = Grades(version=version)
        answers = {i: Answer(i) for i in "abc"}
        subject = replace(SUBJECT, run=run)
        evaluate(store, benchmark, benchmark.load(Path()), answers, Scripted(dict(script)), subject=subject)
    assert [(e.version, e.run) for e in store.evaluations()] == [("2", "r"), ("1", "s"), ("1", "r")]


def test_several_judge_runs_are_averaged_run_by_run(store: Store) -> None:
    class Drifts(Scripted):
        def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
            for i, request in enumerate(requests):
                yield i, Reply(str(2 * request.run), "scripted")

    benchmark = Grades(judge_runs=3)
    samples = benchmark.load(Path()).samples
    answers = {s.id: Answer(s.id) for s in samples}
    record = evaluate(store, benchmark, benchmark.load(Path()), answers, Drifts({}), subject=SUBJECT)
    assert record.metrics["grade"]["value"] == 2.0
    assert record.n_scored == 3


def test_missing_answers_are_neither_scored_nor_failed(store: Store) -> None:
    benchmark = Grades()
    record = evaluate(
        store, benchmark, benchmark.load(Path()), {"a": Answer("a")}, Scripted({("a", 0): "6"}), subject=SUBJECT
    )
    assert (record.n, record.n_scored, record.n_failed) == (3, 1, 0)


def test_a_failed_answer_is_a_failed_sample_and_is_not_judged(store: Store) -> None:
    benchmark, judge = Grades(), Scripted({("a", 0): "6", ("c", 0): "2"})
    answers = {"a": Answer("a"), "b": Answer(None, error="bad image"), "c": Answer("c")}
    record = evaluate(store, benchmark, benchmark.load(Path()), answers, judge, subject=SUBJECT)
    assert (record.n, record.n_scored, record.n_failed) == (3, 2, 1)
    assert (record.metrics["grade"]["value"], record.metrics["official_grade"]["value"]) == (4.0, 4.0)
    assert record.info["failures"] == {"no answer: bad image": 1}


def test_nothing_scored_is_null(store: Store) -> None:
    benchmark = Grades()
    record = evaluate(store, benchmark, benchmark.load(Path()), {}, Scripted({}), subject=SUBJECT)
    assert record.metrics["grade"] == {
        "value": None, "low": None, "high": None, "unit": "", "higher_is_better": True,
    }  # fmt: skip


def test_a_judge_is_required_where_one_is_needed(store: Store) -> None:
    with pytest.raises(UsageError, match="--judge"):
        judge_answers(store, Grades(), [], {}, None)


def test_two_samples_of_one_id_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two samples with the id 'a'"):
        load(Grades(ids=("a", "b", "a")), tmp_path)
