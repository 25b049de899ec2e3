"""Intervals and tests for figures that are functions of sums over samples."""

from harness.stats.difference import NOTHING, Difference, Kind, smallest_difference
from harness.stats.influence import shares
from harness.stats.resampling import (
    Array,
    Contrast,
    Statistic,
    bootstrap_interval,
    bootstrap_sums,
    enough_to_resample,
    group_sums,
    holm,
    mcnemar_p,
    mean_and_spread,
    paired_contrasts,
    paired_difference,
    paired_differences,
    percentile_interval,
    sign_flip_p,
)

__all__ = [
    "NOTHING",
    "Array",
    "Contrast",
    "Difference",
    "Kind",
    "Statistic",
    "bootstrap_interval",
    "bootstrap_sums",
    "enough_to_resample",
    "group_sums",
    "holm",
    "mcnemar_p",
    "mean_and_spread",
    "paired_contrasts",
    "paired_difference",
    "paired_differences",
    "percentile_interval",
    "shares",
    "sign_flip_p",
    "smallest_difference",
]
