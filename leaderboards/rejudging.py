"""What another judge makes of the same answers: its agreement, each run's shift, and whether the ranking holds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.evaluation.metrics import HasVerdict
from harness.protocols.benchmark import Metric
from harness.stats import NOTHING, Array, Difference, bootstrap_interval, kendall_tau
from leaderboards.agreement import Agreement, Estimate, agreement
from leaderboards.declared import declared, primary_of
from leaderboards.differences import measure
from leaderboards.raters import Rated, common_answers
from leaderboards.scored_metrics import ScoredMetrics
from leaderboards.scores import Scores, flat, only, read_scores, scored_samples, statistic
from leaderboards.verdict_table import VerdictTable

RESAMPLES = 2000
A, B = "A", "B"


@dataclass(frozen=True)
class RejudgedRun:
    """The verdicts of both judges on the drawn answers of one run, and the texts of these by sample id."""

    run: str
    a: Sequence[HasVerdict]
    b: Sequence[HasVerdict]
    answers: Mapping[str, str]

    def scores(self, metric: Metric) -> tuple[Scores, Scores]:
        """What ``metric`` is computed from, by each judge."""
        a, b = (read_scores([VerdictTable.of(verdicts)], metric.groups) for verdicts in (self.a, self.b))
        return a, b


@dataclass(frozen=True)
class Shift:
    """A run's figure by both judges, on the ``difference.n`` samples that both scored; ``difference`` is B - A."""

    run: str
    a: float
    b: float
    difference: Difference


@dataclass(frozen=True)
class Pair:
    """Two runs, ``first`` minus ``second`` by each judge, on the samples that both scored of both runs."""

    first: str
    second: str
    a: Difference
    b: Difference

    @property
    def compared(self) -> bool:
        """Whether there is a sample that both judges scored of both runs, and a figure of it."""
        return math.isfinite(self.a.value) and math.isfinite(self.b.value)

    @property
    def swapped(self) -> bool:
        """Whether the judges have them in opposite orders."""
        return self.a.value * self.b.value < 0

    @property
    def level_by_one(self) -> bool:
        """Whether one judge alone makes no difference of them."""
        return self.compared and (self.a.value == 0) != (self.b.value == 0)

    @property
    def fate(self) -> str:
        """What B makes of a difference that A distinguishes from 0: "confirmed", "reversed" or "unsure"; else ""."""
        if not _distinct(self.a):
            return ""
        return "unsure" if not _distinct(self.b) else "reversed" if self.swapped else "confirmed"


@dataclass(frozen=True)
class Rejudgement:
    """One benchmark condition by two judges.

    Args:
        benchmark: by name; ``title`` as tables have it.
        a: the judge of the stored figures; ``b`` the other one.
        metric: the primary figure, that is compared.
        samples: the questions drawn, of ``of``; the same for every run.
        failed: answers of which the second judge's replies gave no verdict, with the commonest reason in ``reason``.
        agreements: of each declared rating.
        shifts: of every run.
        tau: Kendall's tau-b of the runs' figures by both judges, with its interval; None of fewer than two runs.
        pairs: all pairs of runs.
        notes: what is to be known of what was compared.
    """

    benchmark: str
    title: str
    a: str
    b: str
    metric: Metric
    samples: int
    of: int
    failed: int
    reason: str
    agreements: tuple[Agreement, ...]
    shifts: tuple[Shift, ...]
    tau: Estimate | None
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the second judge gave a verdict on every answer."""
        return not self.failed


def shifts_of(runs: Sequence[RejudgedRun], metric: Metric) -> tuple[Shift, ...]:
    """Every run's figure by both judges and the paired difference B - A."""
    out = []
    for run in runs:
        scored = ScoredMetrics([metric], dict(zip((A, B), run.scores(metric), strict=True)))
        (difference,) = scored.differences(B, A)
        a, b = (_figure(scores, metric) for scores in scored.common(A, B))
        out.append(Shift(run.run, a, b, difference))
    return tuple(out)


def _figure(scores: Scores, metric: Metric) -> float:
    return float(measure(scores, [metric]).figures.mean()) if scores.samples else math.nan


def pairs_of(runs: Sequence[RejudgedRun], metric: Metric) -> tuple[Pair, ...]:
    """Every pair of runs, compared by each judge on the same samples."""
    scores = {run.run: run.scores(metric) for run in runs}
    out = []
    for first, second in combinations(scores, 2):
        shared = set.intersection(*(scored_samples(each) for name in (first, second) for each in scores[name]))
        by_judge = []
        for i in range(2):
            sides = {name: only(scores[name][i], shared) for name in (first, second)}
            by_judge.append(ScoredMetrics([metric], sides).differences(first, second)[0] if shared else NOTHING)
        out.append(Pair(first, second, *by_judge))
    return tuple(out)


def tau_of(runs: Sequence[RejudgedRun], metric: Metric) -> Estimate | None:
    """Kendall's tau-b of the runs' figures by both judges, on the samples that both scored of every run, with its
    bootstrap interval over groups; None of fewer than two runs, or without such a sample."""
    scores = [run.scores(metric) for run in runs]
    shared = set.intersection(*(scored_samples(each) for both in scores for each in both)) if scores else set()
    if len(runs) < 2 or not shared:
        return None
    sides = [only(both[i], shared) for i in range(2) for both in scores]
    widths = np.cumsum([0, *(flat(each).shape[1] for each in sides)])
    of = [statistic(each, [metric]) for each in sides]

    def tau(sums: Array) -> Array:
        figures = [f(sums[..., start:stop])[..., 0] for f, start, stop in zip(of, widths, widths[1:], strict=False)]
        by_judge = np.stack(figures, axis=-1)
        return kendall_tau(by_judge[..., : len(runs)], by_judge[..., len(runs) :])[..., None]

    values = np.concatenate([flat(each) for each in sides], axis=1)
    low, high = bootstrap_interval(tau, values, sides[0].groups, resamples=RESAMPLES)
    return Estimate(float(tau(values.sum(axis=0))[0]), float(low[0]), float(high[0]))


def agreements_of(benchmark: str, a: str, b: str, runs: Sequence[RejudgedRun]) -> tuple[Agreement, ...]:
    """Of each rating that the benchmark declares the agreement of both judges about all drawn answers."""
    out = []
    for rating, measured in declared(benchmark).ratings.items():
        answers = common_answers(_rated(runs, rating, of_b=False), _rated(runs, rating, of_b=True))
        if answers is not None:
            out.append(agreement(benchmark, rating, measured, a, b, answers))
    return tuple(out)


def _rated(runs: Sequence[RejudgedRun], rating: str, *, of_b: bool) -> Rated:
    """A judge's ratings by run and sample id."""
    found: dict[tuple[str, str], tuple[str | None, str, dict[int, float]]] = {}
    for run in runs:
        for v in run.b if of_b else run.a:
            if v.error is None and rating in v.counts:
                key = run.run, v.sample_id
                found.setdefault(key, (run.answers.get(v.sample_id), v.group, {}))[2][v.run] = v.counts[rating]
    return found


def rejudged(
    benchmark: str,
    title: str,
    a: str,
    b: str,
    runs: Sequence[RejudgedRun],
    metrics: Sequence[Metric],
    *,
    of: int,
    notes: Sequence[str] = (),
) -> Rejudgement | None:
    """Everything about one benchmark condition; None where no metric of it has a better and a worse."""
    metric = primary_of(benchmark, metrics)
    if metric is None:
        return None
    errors = {(run.run, v.sample_id): v.error for run in runs for v in run.b if v.error is not None}
    reasons = Counter(errors.values()).most_common(1)
    return Rejudgement(
        benchmark=benchmark, title=title, a=a, b=b, metric=metric,
        samples=len({sample for run in runs for sample in run.answers}), of=of,
        failed=len(errors), reason=reasons[0][0] if reasons else "",
        agreements=agreements_of(benchmark, a, b, runs), shifts=shifts_of(runs, metric), tau=tau_of(runs, metric),
        pairs=pairs_of(runs, metric), notes=tuple(notes),
    )  # fmt: skip


def _distinct(difference: Difference) -> bool:
    return difference.low > 0 or difference.high < 0
