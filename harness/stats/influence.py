"""What each group of samples (an image) adds to a figure of sums, found by leaving out one at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.stats.resampling import Array, Statistic, group_sums


def shares(statistic: Statistic, values: Array, groups: Sequence[str]) -> Array:
    """What each group adds to every figure of ``statistic``, [groups, figures]; in sum they are the figure.

    For n groups it is T / n + (n - 1) / n * (mean of all T_-j - T_-i), where T_-i is the figure without group i: the
    pseudo-values of Tukey's jackknife over n, moved so that their sum is T and not its bias-corrected form. Of a mean
    these are the groups' own parts of it. NaN where there is one group, or a figure cannot be computed without one.
    """
    sums = group_sums(values, groups)
    total, count = sums.sum(axis=0), len(sums)
    if count < 2:
        return np.full((count, *np.shape(statistic(total))), np.nan)
    without = np.asarray(statistic(total - sums))
    return np.asarray(statistic(total) / count + (count - 1) / count * (without.mean(axis=0) - without))
