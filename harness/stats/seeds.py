"""What training seeds add to the error of a method's figure, beside the samples.

A figure of one seed differs from that of another for two reasons: the model is another one, and on these samples its
answers fell out otherwise. The second part is in the variance over samples already, so it is taken off the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.jackknife import jackknife_variance
from harness.stats.resampling import Array


@dataclass(frozen=True)
class SeedVariance:
    """The variance of figures over training seeds, pooled over methods; arrays of shape [figures].

    Args:
        total: of one seed's figure about its method's mean, both reasons together.
        answered: of that the part which the samples explain.
        df: degrees of freedom of ``total``.
    """

    total: Array
    answered: Array
    df: Array

    def of(self, which: Sequence[int]) -> SeedVariance:
        """That of these figures alone, by position."""
        kept = list(which)
        return SeedVariance(self.total[kept], self.answered[kept], self.df[kept])


def pooled_seed_variance(figures: Sequence[Array], influence: Sequence[Array]) -> SeedVariance | None:
    """The seed variance of methods that are taken to vary equally; None where none has two seeds.

    Args:
        figures: of each method, [seeds, figures].
        influence: of each method the ``influences`` on them, [groups, seeds, figures].
    """
    several = [(f, u) for f, u in zip(figures, influence, strict=True) if len(f) > 1]
    if not several:
        return None
    squares = np.stack([((f - f.mean(axis=0)) ** 2).sum(axis=0) for f, _ in several])
    answered = np.stack([jackknife_variance(u - u.mean(axis=1, keepdims=True)).sum(axis=0) for _, u in several])
    known = np.isfinite(squares) & np.isfinite(answered)
    df = (known * np.array([[len(f) - 1] for f, _ in several])).sum(axis=0).astype(np.float64)
    with np.errstate(invalid="ignore"):
        total, explained = (np.where(known, part, 0.0).sum(axis=0) / df for part in (squares, answered))
    return SeedVariance(total, explained, df)


def without_pair(variance: SeedVariance, difference: Array) -> SeedVariance | None:
    """The variance without what one pair of seeds that differ by ``difference`` says of it.

    A pair's own share in the sum of squares is difference^2 / 2, with one degree of freedom; the rest is independent of
    it, as in a deleted residual. None where nothing is left.
    """
    df = variance.df - 1
    if not np.any(df > 0):
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        rest = np.maximum(variance.total * variance.df - difference**2 / 2, 0.0) / df
    return SeedVariance(np.where(df > 0, rest, np.nan), variance.answered, np.maximum(df, 0.0))
