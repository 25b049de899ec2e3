"""How far two judges, the runs of one, or a judge and people agree about the same answers of a store."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError
from harness.protocols.benchmark import Level
from harness.stats import Statistic, bootstrap_interval, mcnemar_p
from harness.stats.agreement import alpha, coincidences, confusion, kappa, run_share, run_variances, shares

Array = NDArray[np.float64]
RESAMPLES = 2000
MOST_VALUES = 64
"""Different values that a table of agreement may have."""


@dataclass(frozen=True)
class Answers:
    """Answers that both raters rated: one a row.

    Args:
        names: (run, sample id) of each.
        groups: what is resampled together (images).
        a: ratings by A, [answers, its runs], NaN where a run has none.
        b: by B.
    """

    names: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]
    a: Array
    b: Array


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval over groups; NaN where it is undefined."""

    value: float
    low: float
    high: float


UNDEFINED = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What two raters make of the same answers of one benchmark.

    Args:
        benchmark: whose answers.
        rating: the number of a verdict that is compared, and its ``level`` of measurement.
        a: the one rater, with ``runs_a`` runs; ``b`` likewise, None where it is the runs of ``a`` that are compared:
            then what takes two raters is undefined, and ``alpha`` is that among these runs.
        n: answers that both rated; ``groups`` images of them.
        alpha: Krippendorff's, of the two raters (several runs of one are averaged over all pairs).
        kappa: Cohen's, unweighted; None for interval data.
        weighted_kappa: by squared distances; None for nominal data.
        difference: the mean of A's ratings less that of B's.
        above: answers that A rates above B; ``below``: those it rates below it.
        p: exact sign test of these two (McNemar's for two values); answers are taken as independent.
        among: by rater Krippendorff's alpha among its own runs.
        run_variance: by rater the share of a rating's variance that its runs add, of raters with several.
        notes: what is to be known of what was compared.
    """

    benchmark: str
    rating: str
    level: Level
    a: str
    b: str | None
    runs_a: int
    runs_b: int
    n: int
    groups: int
    mean_a: float
    mean_b: float
    alpha: Estimate
    kappa: Estimate | None
    weighted_kappa: Estimate | None
    difference: Estimate
    above: int
    below: int
    p: float
    among: Mapping[str, Estimate]
    run_variance: Mapping[str, Estimate]
    notes: tuple[str, ...] = field(default=())


def agreement(
    benchmark: str, rating: str, level: Level, a: str, b: str, answers: Answers, notes: Sequence[str] = ()
) -> Agreement:
    """Every figure of ``answers``; raises UsageError where the ratings have too many values for a table."""
    values = _values(answers, level)
    shares_a, shares_b = shares(answers.a, values), shares(answers.b, values)
    crossed = confusion(shares_a, shares_b)
    both = crossed + confusion(shares_b, shares_a)
    mean_a, mean_b = np.nanmean(answers.a, axis=1), np.nanmean(answers.b, axis=1)
    count = np.ones(len(mean_a))
    above, below = int(np.sum(mean_a > mean_b)), int(np.sum(mean_a < mean_b))
    several = {name: r for name, r in ((a, answers.a), (b, answers.b)) if r.shape[1] > 1}

    def estimate(of: Statistic, columns: Array) -> Estimate:
        return _estimate(of, columns, answers.groups)

    return Agreement(
        benchmark=benchmark, rating=rating, level=level, a=a, b=b,
        runs_a=answers.a.shape[1], runs_b=answers.b.shape[1], n=len(answers.names), groups=_groups(answers.groups),
        mean_a=float(mean_a.mean()), mean_b=float(mean_b.mean()),
        alpha=estimate(lambda sums: alpha(sums, values, level), both),
        kappa=estimate(lambda sums: kappa(sums, values), crossed) if level != "interval" else None,
        weighted_kappa=estimate(lambda s: kappa(s, values, weighted=True), crossed) if level != "nominal" else None,
        difference=estimate(lambda s: s[..., 0] / s[..., 1], np.stack([mean_a - mean_b, count], axis=1)),
        above=above, below=below, p=mcnemar_p(above, below),
        among={
            n: estimate(lambda s: alpha(s, values, level), coincidences(r, values)) for n, r in several.items()
        },
        run_variance={name: estimate(run_share, run_variances(r)) for name, r in several.items()},
        notes=tuple(notes),
    )  # fmt: skip


def agreement_of_runs(benchmark: str, rating: str, level: Level, judge: str, answers: Answers) -> Agreement:
    """How far the runs of one judge agree about ``answers``, of which it is A and nobody is B."""
    values = _values(answers, level)
    mean = np.nanmean(answers.a, axis=1)
    among = _estimate(lambda s: alpha(s, values, level), coincidences(answers.a, values), answers.groups)
    return Agreement(
        benchmark=benchmark, rating=rating, level=level, a=judge, b=None,
        runs_a=answers.a.shape[1], runs_b=0, n=len(answers.names), groups=_groups(answers.groups),
        mean_a=float(mean.mean()), mean_b=math.nan, alpha=among, kappa=None, weighted_kappa=None, difference=UNDEFINED,
        above=0, below=0, p=math.nan, among={judge: among},
        run_variance={judge: _estimate(run_share, run_variances(answers.a), answers.groups)},
    )  # fmt: skip


def _values(answers: Answers, level: Level) -> list[float]:
    """All values that were given, ascending."""
    given = np.concatenate([answers.a.ravel(), answers.b.ravel()])
    values = sorted({float(value) for value in given if np.isfinite(value)})
    if len(values) > MOST_VALUES:
        raise UsageError(
            f"The ratings have {len(values)} different values, and a table of agreement at most {MOST_VALUES}: name a "
            "coarser number of the verdicts with --rating."
        )
    return values


def _estimate(of: Statistic, columns: Array, groups: Sequence[str]) -> Estimate:
    def figure(sums: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(of(sums))[..., None]

    low, high = bootstrap_interval(figure, columns, groups, resamples=RESAMPLES)
    return Estimate(float(figure(columns.sum(axis=0))[0]), float(low[0]), float(high[0]))


def _groups(groups: Sequence[str]) -> int:
    return len({group for group in groups if group}) + sum(not group for group in groups)
