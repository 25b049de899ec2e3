"""The verdicts of one row of a leaderboard as numbers, ready for the bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import group_verdicts, value_over_runs
from harness.protocols.benchmark import Metric
from harness.stats import Statistic, bootstrap_interval, mcnemar_p
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


def seed_statistic(scores: Scores, metrics: Sequence[Metric]) -> Statistic:
    """From sums of ``flat(scores)`` [..., columns] to the metrics of every seed, [..., seeds, metrics]: over judge runs
    as each metric says."""
    seeds, runs, _, width = scores.values.shape

    def of(sums: Array) -> Array:
        by_run = np.moveaxis(sums.reshape(*sums.shape[:-1], seeds, runs, width), -2, 0)
        return np.stack([value_over_runs(m, scores.columns, by_run) for m in metrics], axis=-1)

    return of


def statistic(scores: Scores, metrics: Sequence[Metric]) -> Statistic:
    """From sums of ``flat(scores)`` to the metrics, the mean over seeds: [..., metrics]."""
    by_seed = seed_statistic(scores, metrics)
    return lambda sums: np.asarray(by_seed(sums).mean(axis=-2))


def intervals(scores: Scores, metrics: Sequence[Metric], resamples: int = RESAMPLES) -> tuple[Array, Array, Array]:
    """Value and 95 % interval over samples of every metric, each of shape [metrics]."""
    of, values = statistic(scores, metrics), flat(scores)
    if not len(values):
        nothing = np.full(len(metrics), np.nan)
        return nothing, nothing, nothing
    percent = [metric.is_share for metric in metrics]
    low, high = bootstrap_interval(of, values, scores.groups, percent=percent, resamples=resamples, seed=SEED)
    return of(values.sum(axis=0)), low, high


def scored_samples(scores: Scores) -> set[str]:
    """The samples that every seed and judge run scored."""
    return {sample for sample, ok in zip(scores.samples, scores.scored, strict=True) if ok}


def only(scores: Scores, samples: Set[str]) -> Scores:
    """A row on these ``samples`` alone; itself where these are all it has."""
    kept = [i for i, sample in enumerate(scores.samples) if sample in samples]
    if len(kept) == len(scores.samples):
        return scores
    return replace(
        scores,
        samples=tuple(scores.samples[i] for i in kept),
        groups=tuple(scores.groups[i] for i in kept),
        values=scores.values[:, :, kept],
        scored=scores.scored[kept],
    )


def mcnemar(a: Scores, b: Scores, metric: Metric) -> float | None:
    """Exact McNemar p of a metric that is the share of right samples, for one seed and run of each; else None.

    Both are rows of the same samples. It takes these as independent, which questions on one image are not: it stands
    beside the sign-flip test.
    """
    if {a.values.shape[:2], b.values.shape[:2]} != {(1, 1)} or not a.samples or metric.over_runs != "mean":
        return None
    right = []
    for scores in (a, b):
        of = statistic(scores, [metric])
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
