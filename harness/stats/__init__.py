"""Intervals and tests for figures that are functions of sums over samples, and of training seeds."""

from harness.stats.bases import base_variance
from harness.stats.counts import equal_pairs, holm, kendall_tau, mcnemar_p, mean_and_spread
from harness.stats.difference import NOTHING, Difference, Kind
from harness.stats.jackknife import influences, jackknife_variance, shares
from harness.stats.resampling import (
    Array,
    Statistic,
    bootstrap_interval,
    bootstrap_sums,
    enough_to_resample,
    group_sums,
    interval_of,
    percentile_interval,
)
from harness.stats.seeds import SeedVariance, pooled_seed_variance, without_pair
from harness.stats.sign_flips import sign_flip_p
from harness.stats.two_levels import Error, error

__all__ = [
    "NOTHING",
    "Array",
    "Difference",
    "Error",
    "Kind",
    "SeedVariance",
    "Statistic",
    "base_variance",
    "bootstrap_interval",
    "bootstrap_sums",
    "enough_to_resample",
    "equal_pairs",
    "error",
    "group_sums",
    "holm",
    "influences",
    "interval_of",
    "jackknife_variance",
    "kendall_tau",
    "mcnemar_p",
    "mean_and_spread",
    "percentile_interval",
    "pooled_seed_variance",
    "shares",
    "sign_flip_p",
    "without_pair",
]
