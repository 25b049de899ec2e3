"""What base models add to the error of methods that were all trained from the same few of them.

The runs are crossed: every method from every base model with the same training seeds. What a base or a seed does to all
methods alike cancels in their differences; what is left is how much a method's effect depends on the base (and, over so
few seeds, on the seed). Bases are the clusters: a difference counts once for each base, as the mean over its seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.stats.jackknife import jackknife_variance
from harness.stats.resampling import Array
from harness.stats.seeds import SeedVariance


def interaction(values: Array) -> Array:
    """What is left of ``values`` [..., rows, bases, figures] without the means of each row and of each base."""
    by_row, by_base = values.mean(axis=-2, keepdims=True), values.mean(axis=-3, keepdims=True)
    return np.asarray(values - by_row - by_base + values.mean(axis=(-3, -2), keepdims=True))


def base_variance(figures: Sequence[Array], influence: Sequence[Array]) -> SeedVariance | None:
    """The variance of one row's mean from one base, beside what the base does to all rows, pooled over panels.

    The mean square of interaction of a two-way layout with one value a cell (Snedecor and Cochran 1989, section 14.2),
    with (rows - 1)(bases - 1) degrees of freedom a panel; rows and panels are taken to vary equally. In the variance of
    the difference of two rows it counts 2 / bases times. None where no panel has two rows from two bases.

    Args:
        figures: of each panel the means over seeds, [rows, bases, figures].
        influence: what each group of samples adds to them, [groups, rows, bases, figures].
    """
    crossed = [(f, u) for f, u in zip(figures, influence, strict=True) if min(f.shape[:2]) > 1]
    if not crossed:
        return None
    df = float(sum((len(f) - 1) * (f.shape[1] - 1) for f, _ in crossed))
    total = sum((interaction(f) ** 2).sum(axis=(0, 1)) for f, _ in crossed) / df
    answered = sum(jackknife_variance(interaction(u)).sum(axis=(0, 1)) for _, u in crossed) / df
    return SeedVariance(np.asarray(total), np.asarray(answered), np.full(np.shape(total), df))
