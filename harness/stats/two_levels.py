"""Interval and p of a figure or a difference whose error has two sources: the samples, and the training seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.stats.resampling import Array
from harness.stats.seeds import SeedVariance
from harness.stats.student import t_bound, t_p

FLOOR = 0.5
"""The share of the variance over samples below which no chance among the seeds takes the whole."""


@dataclass(frozen=True)
class Error:
    """The error of some figures; arrays of shape [figures].

    Args:
        half: half-width of the 95 % interval.
        samples: half-width from the samples alone.
        seeds: what the training seeds add: half^2 = samples^2 + seeds^2; NaN where they are not counted.
        variance: the squared standard error.
        df: its degrees of freedom.
    """

    half: Array
    samples: Array
    seeds: Array
    variance: Array
    df: Array

    def p(self, value: Array) -> Array:
        """The two-sided p of a ``value`` [figures] that would be 0 but for this error."""
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.where((self.variance > 0) | (value != 0), value / np.sqrt(self.variance), 0.0)
        return t_p(t, self.df)


def error(samples: Array, groups: Array, seeds: SeedVariance | None = None, share: float = 0.0) -> Error:
    """The error of figures whose variance over samples is ``samples``, from so many ``groups`` (both [figures]).

    With ``seeds`` their variance counts ``share`` times: 1 / k for the mean of k seeds, the sum of both for a
    difference. V = samples + share * (total - answered), as what the samples explain of the seeds' variance is in
    ``samples`` already; at least ``FLOOR`` of ``samples``. Its degrees of freedom are those of Satterthwaite (1946,
    eq. 17): V^2 / (sum of its parts' squares, each over its own), of the parts ``samples - share * answered`` and
    ``share * total``. The half-width from the samples alone is never larger than the whole.
    """
    df = np.maximum(groups - 1.0, 0.0)
    alone = t_bound(0.05, df) * np.sqrt(samples)
    if seeds is None or not share:
        return Error(alone, alone, np.full_like(alone, np.nan), samples, df)
    spread = share * seeds.total
    shared = np.maximum(samples - share * seeds.answered, 0.0)
    variance = np.maximum(shared + spread, FLOOR * samples)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = np.where(variance > 0, variance**2 / (shared**2 / df + spread**2 / seeds.df), df)
    half = t_bound(0.05, freedom) * np.sqrt(variance)
    samples_alone = np.minimum(alone, half)
    return Error(half, samples_alone, np.sqrt(half**2 - samples_alone**2), variance, freedom)
