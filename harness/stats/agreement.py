"""Agreement of raters (two judges, runs of one, people) about the same units, as functions of sums over units.

Being functions of sums they are resampled as every other figure is: units of one image together.
Sources: Cohen 1960 and 1968 (kappa, weighted kappa); Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVELS = ("nominal", "ordinal", "interval")
"""What differences between ratings mean: equal or not, an order, or distances."""


def shares(ratings: Array, values: Sequence[float]) -> Array:
    """How a rater's runs rated each unit: shares of its ratings at each of ``values``, [units, values].

    ``ratings``: [units, runs], NaN where a run has none; a unit without any has shares of 0.
    """
    hits = (ratings[:, :, None] == np.asarray(values)).astype(np.float64)
    counted = hits.sum(axis=(1, 2))
    return np.asarray(hits.sum(axis=1) / np.where(counted > 0, counted, 1.0)[:, None])


def confusion(a: Array, b: Array) -> Array:
    """Which values two raters give the same unit: [units, values * values] of their ``shares``, A's value first."""
    return np.asarray((a[:, :, None] * b[:, None, :]).reshape(len(a), -1))


def coincidences(ratings: Array, values: Sequence[float]) -> Array:
    """Krippendorff's coincidences of each unit: [units, values * values], from ``ratings`` [units, raters].

    Every ordered pair of two raters of a unit counts 1 / (its raters - 1); a unit with one rater says nothing.
    """
    hits = (ratings[:, :, None] == np.asarray(values)).astype(np.float64)
    counts = hits.sum(axis=1)
    raters = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - np.einsum("uv,vw->uvw", counts, np.eye(len(values)))
    return np.asarray((pairs / np.where(raters > 1, raters - 1, np.inf)[:, None, None]).reshape(len(ratings), -1))


def alpha(sums: Array, values: Sequence[float], level: str) -> Array:
    """Krippendorff's alpha of sums of ``coincidences`` [..., values * values]: 1 is agreement, 0 is chance.

    NaN where fewer than two values were given, for then nothing could have differed.
    """
    together = _square(sums, len(values))
    of_value = together.sum(axis=-1)
    total = of_value.sum(axis=-1)
    distance = _distances(of_value, values, level)
    observed = (together * distance).sum(axis=(-1, -2))
    expected = (of_value[..., :, None] * of_value[..., None, :] * distance).sum(axis=(-1, -2))
    return _one_minus(observed * (total - 1), expected)


def kappa(sums: Array, values: Sequence[float], *, weighted: bool = False) -> Array:
    """Cohen's kappa of sums of ``confusion`` [..., values * values]; ``weighted``: by squared distances.

    NaN where both raters gave one and the same value to everything.
    """
    table = _square(sums, len(values))
    distance = _distances(table.sum(axis=-1), values, "interval" if weighted else "nominal")
    chance = table.sum(axis=-1)[..., :, None] * table.sum(axis=-2)[..., None, :]
    total = table.sum(axis=(-1, -2))
    return _one_minus((table * distance).sum(axis=(-1, -2)) * total, (chance * distance).sum(axis=(-1, -2)))


def run_variances(ratings: Array) -> Array:
    """What ``run_share`` sums of each unit of ``ratings`` [units, runs]: [units, 5], 0 for one with fewer than two."""
    runs = np.isfinite(ratings).sum(axis=1)
    several = runs > 1
    mean = np.where(several, np.nansum(ratings, axis=1) / np.maximum(runs, 1), 0.0)
    squares = np.where(np.isfinite(ratings), (ratings - mean[:, None]) ** 2, 0.0).sum(axis=1)
    within = np.where(several, squares / np.maximum(runs - 1, 1), 0.0)
    return np.stack([several.astype(np.float64), within, within / np.maximum(runs, 1), mean, mean**2], axis=1)


def run_share(sums: Array) -> Array:
    """The share of a rating's variance that lies between runs of one judge on the same answer, [...].

    One-way random effects: the variance within units, over that and the variance of units' true means (their means'
    variance less what the runs add to it; at least 0).
    """
    units, within, noise, mean, square = (sums[..., i] for i in range(5))
    enough = units > 1
    count = np.where(enough, units, 2.0)
    spread = (square - mean**2 / count) / (count - 1)
    inside, between = within / count, np.maximum(spread - noise / count, 0.0)
    total = inside + between
    return np.where(enough & (total > 0), inside / np.where(total > 0, total, 1.0), np.nan)


def _square(sums: Array, count: int) -> Array:
    return sums.reshape(*sums.shape[:-1], count, count)


def _distances(of_value: Array, values: Sequence[float], level: str) -> Array:
    """Squared distances between values, [..., values, values]; ordinal ones depend on how often each was given."""
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        points = np.asarray(values, dtype=np.float64)
        return np.asarray((points[:, None] - points) ** 2)
    reached = np.cumsum(of_value, axis=-1) - of_value / 2  # the middle of each value's ranks
    return np.asarray((reached[..., :, None] - reached[..., None, :]) ** 2)


def _one_minus(observed: Array, expected: Array) -> Array:
    return np.where(expected > 0, 1 - observed / np.where(expected > 0, expected, 1.0), np.nan)
