"""Differences of rows: which error counts, what is said of methods and what of checkpoints only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from harness.protocols.benchmark import Metric
from harness.stats import (
    Array,
    Difference,
    Error,
    SeedVariance,
    error,
    group_sums,
    influences,
    jackknife_variance,
    shares,
    sign_flip_p,
    without_pair,
)
from leaderboards.scores import Scores, flat, seed_statistic

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Measured:
    """The metrics of a row on some samples.

    Args:
        figures: of every seed, [seeds, metrics].
        influence: what each group of samples adds to them, [groups, seeds, metrics].
    """

    figures: Array
    influence: Array

    @property
    def several(self) -> bool:
        """Whether there are seeds to speak of the method by."""
        return len(self.figures) > 1


def measure(scores: Scores, metrics: Sequence[Metric]) -> Measured:
    """The ``metrics`` of a row, and what its groups of samples add to them."""
    of, sums = seed_statistic(scores, metrics), group_sums(flat(scores), scores.groups)
    return Measured(of(sums.sum(axis=0)), influences(of, sums))


def own_error(row: Measured, variance: SeedVariance | None) -> Error:
    """The error of a row's figures; the seeds count where it has several."""
    counted = counted_groups(row.influence != 0)
    samples = jackknife_variance(row.influence.mean(axis=1))
    return error(samples, counted, variance if row.several else None, 1 / len(row.figures))


def difference_error(a: Measured, b: Measured, variance: SeedVariance | None, share: float) -> Error:
    """The error of A minus B on the same groups of samples; ``share``: how often the seeds' variance counts."""
    counted = counted_groups(np.concatenate([a.influence != 0, b.influence != 0], axis=1))
    with np.errstate(invalid="ignore"):
        samples = jackknife_variance(a.influence.mean(axis=1) - b.influence.mean(axis=1))
    return error(samples, counted, variance, share)


def counted_groups(moving: NDArray[np.bool_]) -> Array:
    """How many groups of samples have a say in each metric, from which of them move it, [groups, seeds, metrics]: of a
    metric of relations those that were asked about some. All, where none moves it, since they agree.
    """
    counted = moving.any(axis=1).sum(axis=0)
    return np.asarray(np.where(counted == 0, len(moving), counted), dtype=np.float64)


@dataclass(frozen=True)
class Side:
    """A row that is compared; ``fixed``: it is one model that no training seed of it is a sample of (the base)."""

    scores: Scores
    measured: Measured
    fixed: bool = False

    @property
    def seeds(self) -> float:
        """How often its seeds' variance counts in a difference."""
        return 0.0 if self.fixed else 1 / len(self.measured.figures)

    @property
    def is_method(self) -> bool:
        return self.fixed or self.measured.several


def compare_sides(a: Side, b: Side, variance: SeedVariance | None) -> list[Difference]:
    """A minus B of every metric, both measured on the same samples.

    Of methods with an error that counts their seeds. Where a side is a single checkpoint, of checkpoints: the error is
    of the samples alone, and p is of the sign-flip test of what each group adds to the difference.
    """
    methods = variance is not None and a.is_method and b.is_method and a.seeds + b.seeds > 0
    value = a.measured.figures.mean(axis=0) - b.measured.figures.mean(axis=0)
    found = difference_error(a.measured, b.measured, variance if methods else None, a.seeds + b.seeds)
    p = found.p(value) if methods else _sign_flip_p(value, a.measured, b.measured)
    numbers = _by_seed(a, b)
    return [
        Difference(
            plain(value[i]),
            plain(value[i] - found.half[i]),
            plain(value[i] + found.half[i]),
            plain(p[i]),
            len(a.scores.samples),
            samples=plain(found.samples[i]),
            seeds=plain(found.seeds[i]),
            kind="methods" if methods else "checkpoints",
            by_seed=tuple(numbers[:, i].tolist()),
            df=float(found.df[i]),
        )
        for i in range(len(value))
    ]


def turned(found: Sequence[Difference], a: Side, b: Side) -> list[Difference]:
    """B minus A, of what was ``found`` of A minus B: the same to the digit but for the signs."""
    numbers = _by_seed(b, a)
    return [
        replace(
            d,
            value=plain(0.0 - d.value),
            low=plain(0.0 - d.high),
            high=plain(0.0 - d.low),
            by_seed=tuple(numbers[:, i].tolist()),
        )
        for i, d in enumerate(found)
    ]


def plain(number: float) -> float:
    """A number of an array as Python's; all that are undefined are one NaN, so that equal records are equal."""
    return math.nan if math.isnan(number) else float(number)


def _sign_flip_p(value: Array, a: Measured, b: Measured) -> Array:
    with np.errstate(invalid="ignore"):
        parts = shares(value, a.influence.mean(axis=1) - b.influence.mean(axis=1))
    return np.array([sign_flip_p(column) for column in parts.T])


def _by_seed(a: Side, b: Side) -> Array:
    """The figures of every seed of A minus those of the same seed of B, [seeds, metrics]; minus B's mean where B has no
    such seed, or it is not known which seeds these are."""
    same = dict(zip(b.scores.seeds, b.measured.figures, strict=False))
    mean = b.measured.figures.mean(axis=0)
    numbers = a.scores.seeds or [None] * len(a.measured.figures)
    others = [mean if seed is None else same.get(seed, mean) for seed in numbers]
    return np.asarray(a.measured.figures - np.stack(others))


def pairs_called_different(rows: Sequence[Measured], variance: SeedVariance | None) -> tuple[Counts, Counts]:
    """How many pairs of seeds of one method differ at 5 %, and of how many pairs, [metrics] each: 5 % would be right.

    Each pair is taken for two methods of one seed. The seeds' variance is that of all other pairs (``without_pair``):
    with its own difference in it none could stand out.
    """
    width = rows[0].figures.shape[1] if rows else 0
    called, pairs = np.zeros(width, dtype=np.int64), np.zeros(width, dtype=np.int64)
    for row in rows if variance is not None else ():
        for i, j in combinations(range(len(row.figures)), 2):
            a, b = (Measured(row.figures[[s]], row.influence[:, [s]]) for s in (i, j))
            value = row.figures[i] - row.figures[j]
            rest = without_pair(variance, value) if variance is not None else None
            if rest is not None:
                p = difference_error(a, b, rest, 2.0).p(value)
                called += p < 0.05
                pairs += np.isfinite(p)
    return called, pairs
