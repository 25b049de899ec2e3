"""The verdicts of one row of a leaderboard as numbers, ready for the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import group_verdicts, value_over_runs
from harness.protocols.benchmark import Metric
from harness.stats import (
    NOTHING,
    Contrast,
    Difference,
    Statistic,
    bootstrap_interval,
    mcnemar_p,
    paired_contrasts,
    paired_differences,
)
from harness.store import EvaluationRecord
from leaderboards.verdict_table import VerdictTable

Array = NDArray[np.float64]
Verdicts = Callable[[EvaluationRecord], VerdictTable]
"""The verdicts of an evaluation."""

RESAMPLES = 1000
SEED = 20250201


@dataclass(frozen=True)
class Scores:
    """What the verdicts of one method's seeds hold, seed by seed and judge run by judge run.

    Args:
        samples: sample ids.
        groups: the group of every sample.
        columns: names of the numbers.
        values: shape [seeds, judge runs, samples, columns]; 0 where a verdict does not hold the number.
        scored: whether a sample was scored without error in every seed and judge run, shape [samples].
        seeds: the training seed of each, where it is known.
    """

    samples: tuple[str, ...]
    groups: tuple[str, ...]
    columns: tuple[str, ...]
    values: Array
    scored: NDArray[np.bool_]
    seeds: tuple[int | None, ...] = ()


def same_groups(metrics: Sequence[Metric]) -> list[list[Metric]]:
    """The metrics by what they count: samples, or groups of samples; in order of first appearance."""
    kinds: list[list[Metric]] = []
    for metric in metrics:
        kind = next((kind for kind in kinds if kind[0].groups == metric.groups), None)
        if kind is None:
            kinds.append([metric])
        else:
            kind.append(metric)
    return kinds


def read_scores(seeds: Sequence[VerdictTable], groups: Mapping[str, str] | None = None) -> Scores:
    """The verdicts of the evaluations of one method, one table per seed.

    With ``groups`` (``Metric.groups``) its samples are those groups.
    """
    if groups is not None:
        seeds = [VerdictTable.of(group_verdicts(list(table.rows()), groups)) for table in seeds]
    images = {sample: image for table in seeds for sample, image in zip(table.samples, table.groups, strict=True)}
    position = {sample: i for i, sample in enumerate(sorted(images))}
    runs = max((int(table.runs.max()) for table in seeds if len(table)), default=0) + 1
    columns = sorted({name for table in seeds for name in table.columns})
    values = np.zeros((len(seeds), runs, len(position), len(columns)))
    scored = np.zeros((len(seeds), runs, len(position)), dtype=bool)
    for seed, table in enumerate(seeds):
        if not len(table):
            continue
        sample = np.array([position[name] for name in table.samples])
        counts = np.zeros((len(table), len(columns)))
        counts[:, [columns.index(name) for name in table.columns]] = table.counts
        values[seed, table.runs, sample] = counts
        scored[seed, table.runs, sample] = table.scored
        scored[seed, table.runs.max() + 1 :] = True  # a seed that was judged fewer times has no say in the other runs
    ids = tuple(position)
    everywhere = np.asarray(scored.all(axis=(0, 1)))
    return Scores(ids, tuple(images[i] for i in ids), tuple(columns), values, everywhere)


def flat(scores: Scores) -> Array:
    """``values`` as [samples, seeds * runs * columns], the shape the statistics work on."""
    seeds, runs, samples, width = scores.values.shape
    return np.moveaxis(scores.values, 2, 0).reshape(samples, seeds * runs * width)


def statistic(scores: Scores, metrics: Sequence[Metric]) -> Statistic:
    """From sums of ``flat(scores)`` to the metrics: over judge runs as each metric says, then the mean over seeds."""
    seeds, runs, _, width = scores.values.shape

    def of(sums: Array) -> Array:
        by_run = np.moveaxis(sums.reshape(*sums.shape[:-1], seeds, runs, width), (-2, -3), (0, 1))
        return np.stack([value_over_runs(m, scores.columns, by_run).mean(axis=0) for m in metrics], axis=-1)

    return of


def intervals(scores: Scores, metrics: Sequence[Metric], resamples: int = RESAMPLES) -> tuple[Array, Array, Array]:
    """Value and 95 % interval over samples of every metric, each of shape [metrics]."""
    of, values = statistic(scores, metrics), flat(scores)
    if not len(values):
        nothing = np.full(len(metrics), np.nan)
        return nothing, nothing, nothing
    low, high = bootstrap_interval(of, values, scores.groups, resamples=resamples, seed=SEED)
    return of(values.sum(axis=0)), low, high


def by_seed(scores: Scores, metrics: Sequence[Metric]) -> Array:
    """Every metric of every seed, [metrics, seeds]."""
    sums = np.moveaxis(scores.values.sum(axis=2), 1, 0)
    return np.stack([value_over_runs(m, scores.columns, sums) for m in metrics])


ContrastOf = Callable[[Scores, Statistic], Contrast]
"""How two rows are compared: from the layout of their numbers and the figures of one row."""


def differences(
    a: Scores,
    b: Scores,
    metrics: Sequence[Metric],
    resamples: int = RESAMPLES,
    *,
    contrast: ContrastOf | None = None,
) -> list[Difference]:
    """A minus B of every metric, on the samples that every seed and judge run of both scored.

    ``contrast``: how they are compared, where it is not one figure minus the other.
    """
    one, other = a, b
    a, b = on_common_samples(a, b)
    if not a.samples:
        return [NOTHING for _ in metrics]
    of = statistic(a, metrics)
    sides = flat(a), flat(b), a.groups
    if contrast is None:
        found = paired_differences(of, *sides, resamples=resamples, permutations=resamples, seed=SEED)
    else:
        found = paired_contrasts(contrast(a, of), *sides, resamples=resamples, permutations=resamples, seed=SEED)
    each = zip(found, by_seed(one, metrics), by_seed(other, metrics), strict=True)
    return [
        replace(
            difference,
            samples=(difference.high - difference.low) / 2,
            by_seed=seed_differences(of_a, of_b, a.seeds, b.seeds),
        )
        for difference, of_a, of_b in each
    ]


def seed_differences(
    a: Array, b: Array, a_seeds: Sequence[int | None] = (), b_seeds: Sequence[int | None] = ()
) -> tuple[float, ...]:
    """The figure of every seed of A minus that of the same seed of B; minus B's mean where B has no such seed.

    ``a`` and ``b``: a figure by seed; ``a_seeds`` and ``b_seeds``: which seeds these are, where it is known.
    """
    same = dict(zip(b_seeds, b.tolist(), strict=False))
    numbers = a_seeds or [None] * len(a)
    other = {seed: float(b.mean()) if seed is None else same.get(seed, float(b.mean())) for seed in numbers}
    return tuple(float(x - other[seed]) for seed, x in zip(numbers, a, strict=True))


def on_common_samples(a: Scores, b: Scores) -> tuple[Scores, Scores]:
    """Both on their common scored samples, with the same columns, and as many seeds and judge runs of each.

    A row with fewer seeds is repeated as a whole to the common multiple, which changes none of its figures.
    """
    common = sorted(_scored(a) & _scored(b))
    columns = tuple(sorted({*a.columns, *b.columns}))
    seeds, runs = (int(np.lcm(a.values.shape[axis], b.values.shape[axis])) for axis in (0, 1))
    sides = []
    for scores in (a, b):
        row = {sample: i for i, sample in enumerate(scores.samples)}
        rows = [row[sample] for sample in common]
        values = np.zeros((*scores.values.shape[:2], len(common), len(columns)))
        values[..., [columns.index(name) for name in scores.columns]] = scores.values[:, :, rows]
        values = np.tile(values, (seeds // values.shape[0], runs // values.shape[1], 1, 1))
        groups = tuple(scores.groups[i] for i in rows)
        sides.append(replace(scores, samples=tuple(common), groups=groups, columns=columns, values=values,
                             scored=np.ones(len(common), dtype=bool)))  # fmt: skip
    return sides[0], sides[1]


def mcnemar(a: Scores, b: Scores, metric: Metric) -> float | None:
    """Exact McNemar p of a metric that is the share of right samples, for one seed and run of each; else None.

    It takes samples as independent, which questions on one image are not: it stands beside the permutation test.
    """
    a, b = on_common_samples(a, b)
    if a.values.shape[:2] != (1, 1) or not a.samples or metric.over_runs != "mean":
        return None
    of = statistic(a, [metric])
    right = []
    for scores in (a, b):
        each = of(flat(scores))[:, 0]
        asked = ~np.isnan(each)
        if not asked.any() or not np.isin(each[asked], (0, 100)).all():
            return None
        if not np.isclose(of(flat(scores).sum(axis=0))[0], each[asked].mean()):
            return None
        right.append(np.where(asked, each, -1))
    if ((right[0] < 0) != (right[1] < 0)).any():
        return None
    return mcnemar_p(int(np.sum(right[0] > right[1])), int(np.sum(right[0] < right[1])))


def _scored(scores: Scores) -> set[str]:
    return {sample for sample, ok in zip(scores.samples, scores.scored, strict=True) if ok}
