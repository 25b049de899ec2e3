"""Intervals and tests for figures that are functions of sums over samples.

Samples of one group (one image) are resampled, swapped and counted together: they are not independent. What varies
between training seeds is a different matter and is never mixed in: see ``mean_and_spread``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.stats.difference import Difference

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Figures of sums: [..., columns] -> [..., figures]; NaN where there is nothing to count."""
Contrast = Callable[[Array, Array], Array]
"""A's figures minus B's, from the sums of both: two times [..., columns] -> [..., figures]."""

CELLS_PER_CHUNK = 4_000_000


def group_sums(values: Array, groups: Sequence[str]) -> Array:
    """Sums of ``values`` [samples, columns] within each group, [groups, columns], groups in sorted order.

    A sample whose group is "" stands for itself.
    """
    if len(groups) != len(values):
        raise ValueError(f"{len(values)} samples, but {len(groups)} groups")
    names = [(group, -1) if group else ("", i) for i, group in enumerate(groups)]
    position = {name: i for i, name in enumerate(sorted(set(names)))}
    sums = np.zeros((len(position), values.shape[1]))
    np.add.at(sums, [position[name] for name in names], values)
    return sums


def bootstrap_sums(values: Array, groups: Sequence[str], *, resamples: int = 2000, seed: int = 0) -> Array:
    """Column sums of ``resamples`` resamples of the groups with replacement, shape [resamples, columns].

    Calls with the same groups and seed draw the same resamples, so their results are paired.
    """
    sums = group_sums(values, groups)
    count = len(sums)
    rng = np.random.default_rng(seed)
    out = np.zeros((resamples, values.shape[1]))
    for start, stop in _chunks(resamples, count):
        rows = stop - start
        drawn = rng.integers(0, count, size=(rows, count), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * np.int32(count)  # one counter for each (resample, group)
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        with np.errstate(invalid="ignore"):  # a sum may be infinite
            out[start:stop] = times.astype(np.float64) @ sums
    return out


def enough_to_resample(groups: Sequence[str]) -> bool:
    """Whether there are two groups to draw from: every resample of a single one is that one, and says nothing."""
    return len(groups) > 1 and (len(set(groups)) > 1 or "" in groups)


def bootstrap_interval(
    statistic: Statistic, values: Array, groups: Sequence[str], *, resamples: int = 2000, seed: int = 0
) -> tuple[Array, Array]:
    """The 95 % interval of every figure of ``statistic``, resampling groups; NaN where there are fewer than two."""
    if not enough_to_resample(groups):
        nothing = np.full(np.shape(statistic(values.sum(axis=0))), np.nan)
        return nothing, nothing
    return percentile_interval(statistic(bootstrap_sums(values, groups, resamples=resamples, seed=seed)))


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


def paired_differences(
    statistic: Statistic, a: Array, b: Array, groups: Sequence[str], **options: int
) -> list[Difference]:
    """A minus B of every figure of ``statistic``; ``options`` are those of ``paired_contrasts``."""

    def contrast(x: Array, y: Array) -> Array:
        return np.asarray(statistic(x) - statistic(y))

    return paired_contrasts(contrast, a, b, groups, mirrored=True, **options)


def paired_contrasts(
    contrast: Contrast,
    a: Array,
    b: Array,
    groups: Sequence[str],
    *,
    mirrored: bool = False,
    resamples: int = 2000,
    permutations: int = 2000,
    seed: int = 0,
) -> list[Difference]:
    """``contrast`` of A and B, for values [samples, columns] of both on the same samples.

    The interval resamples groups, the same ones for A and B. The p-value swaps A and B within randomly chosen groups:
    valid for ratios too, and for a mean the sign-flip test. It is twice the smaller tail's, because a contrast that
    reads one side by means of the other need not change its sign where they change places; ``mirrored``: this one does.
    """
    if a.shape != b.shape:
        raise ValueError(f"A and B must be values of the same samples and columns: {a.shape}, {b.shape}")
    columns = a.shape[1]
    both = np.concatenate([a, b], axis=1)

    def difference(sums: Array) -> Array:
        return contrast(sums[..., :columns], sums[..., columns:])

    value = difference(both.sum(axis=0))
    low, high = bootstrap_interval(difference, both, groups, resamples=resamples, seed=seed)
    p = _swap_p(difference, group_sums(both, groups), permutations, seed, mirrored=mirrored)
    figures = zip(value, low, high, p, strict=True)
    return [Difference(float(v), float(lo), float(hi), float(q), len(a)) for v, lo, hi, q in figures]


def paired_difference(
    a: Array, b: Array, groups: Sequence[str], *, resamples: int = 2000, permutations: int = 2000, seed: int = 0
) -> Difference:
    """The difference of the means over samples of ``a`` and ``b`` [samples], clustered by group."""
    n = len(a)
    return paired_differences(
        lambda sums: sums / n if n else sums * np.nan,
        np.asarray(a, dtype=np.float64).reshape(n, 1),
        np.asarray(b, dtype=np.float64).reshape(n, 1),
        groups,
        resamples=resamples,
        permutations=permutations,
        seed=seed,
    )[0]


def sign_flip_p(differences: Array, *, permutations: int = 2000, seed: int = 0) -> float:
    """Two-sided p that ``differences`` [samples] are symmetric about 0; exact where all sign patterns can be tried."""
    zero = np.zeros_like(differences)
    return paired_difference(
        differences, zero, [""] * len(differences), resamples=1, permutations=permutations, seed=seed
    ).p


def _swap_p(difference: Statistic, sums: Array, permutations: int, seed: int, *, mirrored: bool) -> Array:
    """Twice the smaller tail of the swaps, the data as they are among them; ``sums`` [groups, 2 * columns]: A beside B.

    ``mirrored``: the opposite of every swap has the opposite difference, so both of them count for one computed.
    """
    total = sums.sum(axis=0)
    observed = difference(total)
    half = sums.shape[1] // 2
    moved = np.concatenate([sums[:, half:], sums[:, :half]], axis=1) - sums  # what a swap adds
    changing = moved[np.any(moved != 0, axis=1)]  # the other groups cannot change the difference
    tails = np.zeros((2, *observed.shape))
    tried = 0
    tolerance = 1e-9 * (1 + np.abs(observed))  # swaps that tie must not be lost to rounding
    for swaps in _swaps(len(changing), permutations, seed):
        with np.errstate(invalid="ignore"):
            swapped = difference(total + swaps @ changing)
        for sign in (1, -1) if mirrored else (1,):
            # A swap that leaves nothing to count says nothing against the null hypothesis: it counts as extreme.
            tails[0] += np.sum((sign * swapped <= observed + tolerance) | np.isnan(swapped), axis=0)
            tails[1] += np.sum((sign * swapped >= observed - tolerance) | np.isnan(swapped), axis=0)
            tried += len(swaps)
    if not 2 ** min(len(changing), 62) <= permutations:  # a draw: the observed one, and its mirror image, belong to it
        tails += 1
        tried += 2 if mirrored else 1
    return np.where(np.isnan(observed), np.nan, np.minimum(1.0, 2 * tails.min(axis=0) / tried))


def _swaps(count: int, permutations: int, seed: int) -> Iterator[Array]:
    """Chunks of 0/1 rows of length ``count``: all of them where they are no more than ``permutations``, else random."""
    if 2 ** min(count, 62) <= permutations:
        yield (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(np.float64)
        return
    rng = np.random.default_rng(seed)
    for start, stop in _chunks(permutations, count):
        yield rng.integers(0, 2, size=(stop - start, count), dtype=np.int8).astype(np.float64)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar test: how many samples A alone got right, and B alone (a fair coin under the null)."""
    n, k = only_a + only_b, min(only_a, only_b)
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN stays NaN and does not count as a test."""
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[i] = largest
    return adjusted


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over training seeds; the spread of a single seed is NaN, not 0."""
    if not values:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _chunks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Row ranges whose matrices of ``width`` columns stay small."""
    step = max(1, CELLS_PER_CHUNK // max(1, width))
    for start in range(0, rows, step):
        yield start, min(rows, start + step)
