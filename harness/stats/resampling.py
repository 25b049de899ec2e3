"""The bootstrap interval of a checkpoint's figure, which is a function of sums over samples.

Samples of one group (one image) are resampled together: they are not independent.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.stats.student import t_bound

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Figures of sums: [..., columns] -> [..., figures]; NaN where there is nothing to count."""

CELLS_PER_CHUNK = 4_000_000
KEPT_CELLS = 8_000_000
"""Draws up to so many counts are kept, two bytes each."""


def group_sums(values: Array, groups: Sequence[str]) -> Array:
    """Sums of ``values`` [samples, columns] within each group, [groups, columns], groups in sorted order.

    A sample whose group is "" stands for itself.
    """
    if len(groups) != len(values):
        raise ValueError(f"{len(values)} samples, but {len(groups)} groups")
    names = [(group, -1) if group else ("", i) for i, group in enumerate(groups)]
    position = {name: i for i, name in enumerate(sorted(set(names)))}
    if not position:
        return np.zeros((0, values.shape[1]))
    at = np.array([position[name] for name in names])
    order = np.argsort(at, kind="stable")
    starts = np.searchsorted(at[order], np.arange(len(position)))
    return np.asarray(np.add.reduceat(values[order], starts, axis=0, dtype=np.float64))


def bootstrap_sums(values: Array, groups: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> Array:
    """Column sums of ``resamples`` resamples of the groups with replacement, shape [resamples, columns].

    Calls with the same groups and seed draw the same resamples, so their results are paired.
    """
    sums = group_sums(values, groups)
    count = len(sums)
    kept = resamples * count <= KEPT_CELLS
    out = np.zeros((resamples, values.shape[1]))
    for start, times in (_kept_times if kept else _times)(resamples, count, seed):
        with np.errstate(invalid="ignore"):  # a sum may be infinite
            out[start : start + len(times)] = times.astype(np.float64) @ sums
    return out


def _times(resamples: int, count: int, seed: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """How often each of ``count`` groups is drawn in a resample: chunks of a first row and counts [rows, count]."""
    rng = np.random.default_rng(seed)
    for start, stop in _chunks(resamples, count):
        rows = stop - start
        drawn = rng.integers(0, count, size=(rows, count), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(count)  # one counter for each (resample, group)
        yield start, np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)


@functools.lru_cache(maxsize=4)
def _kept_times(resamples: int, count: int, seed: int) -> list[tuple[int, NDArray[Any]]]:
    """The same, drawn once for all figures of a benchmark and all its runs."""
    small = np.uint16 if count <= np.iinfo(np.uint16).max else np.int64
    return [(start, times.astype(small)) for start, times in _times(resamples, count, seed)]


def enough_to_resample(groups: Sequence[str]) -> bool:
    """Whether there are two groups to draw from: every resample of a single one is that one, and says nothing."""
    return len(groups) > 1 and (len(set(groups)) > 1 or "" in groups)


def bootstrap_interval(
    statistic: Statistic,
    values: Array,
    groups: Sequence[str],
    *,
    percent: Sequence[bool] = (),
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Array, Array]:
    """The 95 % interval of every figure of ``statistic``, resampling groups; NaN where there are fewer than two.

    ``percent``: which figures are shares of 100.
    """
    if not enough_to_resample(groups):
        nothing = np.full(np.shape(statistic(values.sum(axis=0))), np.nan)
        return nothing, nothing
    draws = statistic(bootstrap_sums(values, groups, resamples=resamples, seed=seed))
    return interval_of(draws, statistic(group_sums(values, groups)), percent)


def interval_of(draws: Array, alone: Array, percent: Sequence[bool] = ()) -> tuple[Array, Array]:
    """The 95 % interval over ``draws`` [resamples, figures], expanded as so few groups ask for.

    ``alone``: the figures of each group by itself, [groups, figures]. Where all groups agree in 0 % or in 100 %, every
    resample does, and says nothing of what another group would say: the open end is Wilson's (1927), with the groups
    that have the figure as trials, z^2 / (n + z^2).
    """
    low, high = percentile_interval(draws, expanded_level(len(alone)))
    z2 = NormalDist().inv_cdf(0.975) ** 2
    for i, is_share in enumerate(percent):
        counted = alone[np.isfinite(alone[:, i]), i]
        reach = 100 * z2 / (len(counted) + z2)
        if is_share and len(counted) and low[i] == high[i]:
            if np.all(counted == 0):
                high[i] = reach
            elif np.all(counted == 100):
                low[i] = 100 - reach
    return low, high


@functools.cache
def expanded_level(groups: int, level: float = 0.95) -> float:
    """The level of the percentile interval that covers ``level`` where there are few groups.

    A resample of n groups varies too little by a factor sqrt((n - 1) / n), and an estimated variance wants Student's
    t: the tail becomes Phi(-sqrt(n / (n - 1)) t) (Hesterberg 2015, section 5.3).
    """
    t = float(t_bound(1 - level, groups - 1))
    return 1 - 2 * NormalDist().cdf(-math.sqrt(groups / (groups - 1)) * t)


def percentile_interval(draws: Array, level: float = 0.95) -> tuple[Array, Array]:
    """The central ``level`` interval over the first axis of ``draws``, ignoring NaN; NaN where all draws are."""
    tail = 100 * (1 - level) / 2
    flat = draws.reshape(len(draws), -1)
    bounds = np.full((2, flat.shape[1]), np.nan)
    for i, column in enumerate(flat.T):
        finite = column[np.isfinite(column)]
        if len(finite):
            bounds[:, i] = np.percentile(finite, [tail, 100 - tail])
    low, high = bounds.reshape(2, *draws.shape[1:])
    return low, high


def _chunks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Row ranges whose matrices of ``width`` columns stay small."""
    step = max(1, CELLS_PER_CHUNK // max(1, width))
    for start in range(0, rows, step):
        yield start, min(rows, start + step)
