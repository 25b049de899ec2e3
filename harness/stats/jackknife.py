"""How far a figure would move with other samples: the delete-one-group jackknife, without a draw.

Samples of one group (one image) are left out together, as they are not independent. The figure is a function of sums,
so what it would be without a group is that function of the other groups' sums.
"""

from __future__ import annotations

import numpy as np

from harness.stats.resampling import Array, Statistic


def influences(statistic: Statistic, sums: Array) -> Array:
    """What each group adds to the figures: those of all groups minus those without it.

    ``sums``: of each group, [groups, columns]; returns [groups, ...] for figures of shape [...].
    """
    total = sums.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(statistic(total) - statistic(total - sums))


def jackknife_variance(influence: Array) -> Array:
    """The variance of the figures over samples, from ``influences`` [groups, ...]; NaN for fewer than two groups.

    Source: (G - 1) / G times the sum of squares about the mean (Efron and Stein 1981, eq. 1.1), by groups.
    """
    count = len(influence)
    if count < 2:
        return np.full(influence.shape[1:], np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray((count - 1) / count * ((influence - influence.mean(axis=0)) ** 2).sum(axis=0))


def pseudo_values(figure: Array, influence: Array, sizes: Array) -> Array:
    """What the samples of each group stand for in a figure [figures] as if it were their mean, [groups, figures].

    ``sizes`` [groups]: the samples of each group. They are the pseudo-values of the jackknife that leaves out groups of
    several sizes, T + (n / m - 1) u with the ``influence`` u (Busing, Meijer and van der Leeden 1999, eq. 6), moved so
    that their mean over samples is T. Of a mean they are the groups' own means.
    """
    weight = (sizes / sizes.sum())[:, None]
    pseudo = figure + (1 / weight - 1) * influence
    return np.asarray(pseudo + figure - (weight * pseudo).sum(axis=0))


def shares(figure: Array, influence: Array) -> Array:
    """What each group adds to a figure [figures], [groups, figures]; in sum they are the figure.

    For n groups it is T / n + (n - 1) / n * (u - mean u) with the ``influence`` u: the pseudo-values of Tukey's
    jackknife over n, moved so that their sum is T and not its bias-corrected form. Of a mean these are the groups' own
    parts of it; of the difference of two ratios x / n they are linear in x - R n, each side divided by its own
    mentions, so that a side that says three times less weighs as much.
    """
    count = len(influence)
    with np.errstate(invalid="ignore"):
        return np.asarray(figure / count + (count - 1) / count * (influence - influence.mean(axis=0)))
