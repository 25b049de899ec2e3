"""A benchmark that another package's engine runs: it asks the questions itself and makes the figures itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.protocols.benchmark import Benchmark, BenchmarkData, Decoding, Metric, Sample, Verdict
from harness.protocols.model import Answer

AnswerFunction = Callable[[Sequence[Sample], Decoding], Mapping[str, Answer]]
"""The model under test: answers by sample id, each from the store where it is there, and stored as it comes."""


FigureOf = Callable[[Sequence[str]], float]
"""A figure of the samples of these ids; NaN where it has none."""


@dataclass(frozen=True)
class ExternalResult:
    """What the other engine found on one benchmark.

    Args:
        name: the benchmark, as it can be asked for again.
        decoding: how answers were made, in the other engine's words.
        answered: every sample with its answer (None: there is none) and verdict.
        metrics: by name "value", "low", "high", "unit" and "higher_is_better", as the other engine has them.
        figures: of metrics that are no mean of the verdicts' numbers, by name, what each is of some of the samples (by
            their ids), NaN where it has none: so that they get an interval, and stand in tables, as all others.
    """

    name: str
    version: str
    mode: str
    decoding: Mapping[str, Any]
    answered: Sequence[tuple[Sample, str | None, Verdict]]
    metrics: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, FigureOf] = field(default_factory=dict)


class ExternalBenchmark(Benchmark):
    """Base of a benchmark with an engine of its own. ``run`` stands for load, verdict and metrics."""

    @abstractmethod
    def run(self, answer: AnswerFunction, root: Path, limit: int | None) -> Sequence[ExternalResult]:
        """Ask the model through ``answer`` the first ``limit`` questions (None: all), and sum up.

        ``root`` is a directory with files of the user's own.
        """

    def load(self, root: Path) -> BenchmarkData:
        """Raises UsageError: what it asks is not known before it runs."""
        raise UsageError(
            f"{self.name}: what it asks is known to its own engine only, so there is no --dry-run, no --shard and no "
            "`score` of it; run it with bench, or leave it out."
        )

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """Raises UsageError: its own engine scores the answers."""
        raise UsageError(f"{self.name}: its own engine scores the answers.")

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        """None without the stored figures: ``stored_metrics`` makes them."""
        return []
