"""What every plug-in must keep, as checks for its author's tests; the project's own plug-ins pass them too.

``check_benchmark``, ``check_judge``, ``check_model``, ``check_splitter`` and ``check_format`` are here, and
``check_aligner`` is in ``aligners.testing``. Each raises an AssertionError that says what is wrong.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from harness.evaluation.metrics import columns_of, matrix, named_sums
from harness.protocols.benchmark import (
    BENCHMARKS,
    Benchmark,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Sample,
    Verdict,
)
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Model
from harness.protocols.official import is_official

ANSWERS = ("Yes", "No.", "A dog sits on a table beside two cats.", "", "\u00df\u4e2d \ud83e\udd8a \n\t{")
UNREADABLE = ("", "zxcvb qwrtp", "{", "\u00df\u4e2d \ud83e\udd8a", "I cannot help with that.")
SAMPLES = 25
"""As many samples are scored by ``check_benchmark``."""


def check_benchmark(
    kind: type[Benchmark], root: Path, *, settings: Mapping[str, Any] | None = None, answers: Sequence[str] = ANSWERS
) -> None:
    """Check a benchmark against data in ``root``, with ``settings`` and some ``answers`` to its samples.

    It loads, twice alike; ids are unique; verdicts hold finite numbers; a reply that cannot be read never becomes a
    plain count; metrics are finite or NaN, in the shape of the sums, also where nothing was counted; trivial answers
    are scored without images and resources.
    """
    faults = [] if settings else BENCHMARKS.faults(kind)
    assert not faults, f"{kind.__name__}: {'; '.join(faults)}"
    benchmark = kind(**(settings or {}))
    data = benchmark.load(root)
    samples = list(data.samples)
    twice = [sample_id for sample_id, count in Counter(sample.id for sample in samples).items() if count > 1]
    assert samples, f"{kind.__name__}.load found no samples in {root}"
    assert not twice, f"{kind.__name__}.load gives samples with the same id: {twice[:5]}"
    assert all(isinstance(sample.id, str) and sample.id for sample in samples), "a sample's id must be a string"
    assert isinstance(data.version, str) and data.version, "BenchmarkData.version must be a string that is not empty"
    again = kind(**(settings or {})).load(root)
    assert again.version == data.version, f"version changes between two loads: {data.version!r}, {again.version!r}"
    asked = [(sample.id, sample.prompt, sample.data) for sample in samples]
    assert asked == [(s.id, s.prompt, s.data) for s in again.samples], "samples change between two loads"
    verdicts = [
        verdict
        for sample in samples[:SAMPLES]
        for answer in answers
        for verdict in _verdicts(benchmark, sample, answer)
    ]
    _check_metrics(benchmark, samples, verdicts)
    _check_trivial(benchmark, samples)


def _verdicts(benchmark: Benchmark, sample: Sample, answer: str) -> Iterable[Verdict]:
    """The verdict on ``answer`` without a judge, or the ones after each reply that is none."""
    where = f"sample {sample.id!r}, answer {answer!r}"
    question = benchmark.judge_prompt(sample, answer, 0)
    if not benchmark.needs_judge or question is None:
        verdict = benchmark.verdict(sample, answer, [])
        _check_counts(verdict, where)
        yield verdict
        return
    assert isinstance(question, JudgePrompt), f"{where}: judge_prompt gives {question!r}, expected a JudgePrompt"
    for reply in UNREADABLE:
        yield _unreadable_verdict(benchmark, sample, answer, reply, f"{where}, reply {reply!r}")


def _unreadable_verdict(benchmark: Benchmark, sample: Sample, answer: str, reply: str, where: str) -> Verdict:
    try:
        verdict = benchmark.verdict(sample, answer, [reply])
    except JudgeParseError:
        verdict = benchmark.unreadable(sample, answer, [reply])
        assert verdict.error is not None, f"{where}: unreadable gives a verdict without an error"
    plain = [name for name in verdict.counts if not is_official(name)]
    assert verdict.error is not None or not plain, (
        f"{where}: a reply that cannot be read became the plain counts {plain}; raise JudgeParseError in verdict"
    )
    assert verdict.error is None or not plain, f"{where}: a failed sample has the plain counts {plain}"
    _check_counts(verdict, where)
    return verdict


def _check_counts(verdict: Verdict, where: str) -> None:
    for name, value in verdict.counts.items():
        number = isinstance(value, int | float | np.number) and math.isfinite(value)
        assert number, f"{where}: count {name!r} is {value!r}, expected a finite number"


def _check_trivial(benchmark: Benchmark, samples: Sequence[Sample]) -> None:
    """Answers that need no model are scored from what a results file has of the samples."""
    for label, answer in benchmark.trivial_answers.items():
        for sample in samples[:SAMPLES]:
            where = f"sample {sample.id!r}, trivial answer {label!r}"
            verdict = benchmark.trivial_verdict(dataclasses.replace(sample, image=None, resources=None), answer)
            assert verdict is None or isinstance(verdict, Verdict), f"{where}: trivial_verdict gives {verdict!r}"
            if verdict is not None:
                _check_counts(verdict, where)


def _check_metrics(benchmark: Benchmark, samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> None:
    # Samples of a results file have neither an image nor resources.
    stored = [dataclasses.replace(sample, image=None, resources=None) for sample in samples]
    metrics = benchmark.metrics(stored)
    names = [metric.name for metric in metrics]
    assert metrics, "metrics() gives none"
    assert len(set(names)) == len(names), f"metrics() gives two of one name: {names}"
    columns = columns_of(verdicts)
    total = matrix(verdicts, columns).sum(axis=0) if columns else np.zeros(0)
    for sums in (np.stack([total, 2 * total, 0 * total]), 0 * total[None]):
        for metric in metrics:
            with np.errstate(all="ignore"):
                values = np.asarray(metric.compute(named_sums(columns, sums)))
            assert values.shape == sums.shape[:1], f"metric {metric.name!r}: shape {values.shape} of {sums.shape[:1]}"
            assert not np.isinf(values).any(), f"metric {metric.name!r} is infinite: {values}; use NaN for nothing"


def check_judge(
    judge: Judge, questions: Sequence[JudgePrompt] = (JudgePrompt("Is it a dog? Reply yes or no."),)
) -> None:
    """Check a judge that can be asked here: each question has one reply, with a text or the reason for none."""
    assert isinstance(judge, Judge), f"{type(judge).__name__} does not extend harness.protocols.judge.Judge"
    assert isinstance(judge.name, str) and judge.name, "a judge's name must be a string that is not empty"
    judge.check()
    requests = [
        JudgeRequest(str(i), question, "A dog.", run=0, attempt=attempt)
        for attempt in range(2)
        for i, question in enumerate(questions)
    ]
    replies = _once_each(judge.ask, requests, "ask")
    assert not list(judge.ask([])), "ask([]) yields something"
    for reply in replies:
        assert isinstance(reply, Reply), f"ask yields {reply!r}, expected a Reply"
        _text_or_error(reply.text, reply.error, "a reply")
        recalled = judge.recall(reply)
        assert recalled is None or recalled.text is not None, "recall gives a reply without a text"
        _check_money(judge.cost(reply.usage), "cost")
    _check_money(judge.cost({}), "cost")
    _check_money(judge.spent, "spent")


def check_model(model: Model, samples: Sequence[Sample] = (Sample("a", "What is it?"), Sample("b", "Why?"))) -> None:
    """Check a model that can be asked here: each sample has one answer, with a text or the reason for none."""
    assert isinstance(model, Model), f"{type(model).__name__} does not extend harness.protocols.model.Model"
    for name in ("name", "spec", "key"):
        value = getattr(model, name, None)
        assert isinstance(value, str) and value, f"a model's {name} must be a string that is not empty, got {value!r}"
    assert model.batch_size >= 1, f"batch_size is {model.batch_size}, expected at least 1"
    key, decoding = model.key, Decoding(max_new_tokens=4)
    answers = _once_each(lambda asked: model.generate(asked, decoding), list(samples), "generate")
    assert not list(model.generate([], decoding)), "generate([]) yields something"
    for answer in answers:
        _text_or_error(answer.text, answer.error, "an answer")
    assert model.key == key, "key changes when the model answers: answers could not be found again"


class Splits(Protocol):
    """A splitter, as far as it is checked; its base class is ``aligners.pair_hardness.splitter.Splitter``."""

    name: str

    def split(self, texts: Sequence[str]) -> list[list[str]]: ...


TEXTS = (
    "A dog sits. A cat runs!",
    "There is a dog, a cat and a bird.",
    "It is 3.5 m long; it is red.",
    "One line\nAnother line",
    "Yes",
    "...",
)


def check_splitter(splitter: Splits, texts: Sequence[str] = TEXTS) -> None:
    """Check a splitter: every text has at least one piece that is not empty, in order, and the same each time."""
    assert isinstance(splitter.name, str) and splitter.name, "a splitter's name must be a string that is not empty"
    pieces = splitter.split(texts)
    assert len(pieces) == len(texts), f"split gives {len(pieces)} lists for {len(texts)} texts"
    for text, of_text in zip(texts, pieces, strict=True):
        assert of_text, f"{text!r} has no piece"
        assert all(isinstance(piece, str) and piece.strip() for piece in of_text), (
            f"{text!r}: an empty piece: {of_text}"
        )
    assert splitter.split(texts) == pieces, "split gives other pieces the second time"
    assert splitter.split(texts[::-1]) == pieces[::-1], "a text's pieces depend on the texts beside it"
    assert splitter.split([]) == [], "split([]) is not empty"


class Renders(Protocol):
    """A format, as far as it is checked; its base class is ``leaderboards.formats.registry.Format``."""

    def render(self, view: Any) -> str: ...

    def write(self, view: Any, out: Path) -> list[Path]: ...


def check_format(made: Renders, views: Sequence[Any], folder: Path) -> None:
    """Check a format on ``views`` (``leaderboards.view.View``; one of an empty store belongs to them).

    Args:
        folder: an empty directory to write to.
    """
    for number, view in enumerate(views):
        text = made.render(view)
        assert isinstance(text, str), f"view {number}: render gives {type(text).__name__}, expected a string"
        assert made.render(view) == text, f"view {number}: render gives another text the second time"
        files = made.write(view, folder / str(number) / "leaderboard")
        assert files, f"view {number}: write names no file"
        absent = [str(file) for file in files if not file.is_file()]
        assert not absent, f"view {number}: write names files that are not there: {', '.join(absent)}"


def _once_each(ask: Callable[[Any], Iterable[tuple[int, Any]]], asked: Sequence[Any], name: str) -> list[Any]:
    """What ``ask`` yields for ``asked``, in their order, after checking that each is there once."""
    seen: dict[int, list[Any]] = defaultdict(list)
    for position, value in ask(asked):
        seen[position].append(value)
    counts = {position: len(values) for position, values in sorted(seen.items())}
    assert counts == dict.fromkeys(range(len(asked)), 1), (
        f"{name} must yield each of the positions 0 to {len(asked) - 1} once, got {counts}"
    )
    return [seen[position][0] for position in range(len(asked))]


def _text_or_error(text: object, error: object, what: str) -> None:
    if text is None:
        assert isinstance(error, str) and error, f"{what} without a text must say why (error), got {error!r}"
    else:
        assert isinstance(text, str), f"{what}'s text is {text!r}, expected a string"
        assert error is None, f"{what} has a text and an error ({error!r}): nothing failed may count"


def _check_money(value: object, name: str) -> None:
    good = value is None or (isinstance(value, int | float) and math.isfinite(value) and value >= 0)
    assert good, f"{name} is {value!r}, expected USD (a number from 0) or None"
