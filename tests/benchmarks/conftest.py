"""Scoring through the engine's own arithmetic, without a store."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.protocols.benchmark import Benchmark, JudgeParseError, Sample, Verdict
from tests.shared import shared


def judged(benchmark: Benchmark, sample: Sample, answer: str, replies: Sequence[str] = ()) -> Verdict:
    """The verdict after as many of ``replies`` as are asked for."""
    for attempt in range(benchmark.attempts):
        try:
            return benchmark.verdict(sample, answer, replies[: attempt + 1])
        except JudgeParseError:
            if attempt + 1 >= len(replies):
                break
    return benchmark.unreadable(sample, answer, replies)


def figures(benchmark: Benchmark, samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Every metric's value over ``verdicts``."""
    totals: defaultdict[str, float] = defaultdict(float)
    for verdict in verdicts:
        for name, value in verdict.counts.items():
            totals[name] += value
    sums: defaultdict[str, np.ndarray] = defaultdict(lambda: np.zeros(()))
    sums.update({name: np.asarray(value) for name, value in totals.items()})
    return {metric.name: float(metric.compute(sums)) for metric in benchmark.metrics(samples)}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def nltk_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """NLTK's tagger and WordNet of the reference data; skips without them."""
    import nltk

    folder = str(shared("data/nltk_data"))
    monkeypatch.setattr(nltk.data, "path", [folder, *nltk.data.path])
    yield
