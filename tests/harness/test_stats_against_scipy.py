"""The statistics against scipy's."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from harness.stats import bootstrap_sums, mcnemar_p, paired_difference, percentile_interval, sign_flip_p

pytestmark = pytest.mark.needs("scipy")


@pytest.fixture
def stats() -> Any:
    return importlib.import_module("scipy.stats")


def test_exact_sign_flip(stats: Any) -> None:
    differences = np.array([0.3, -0.1, 0.8, 0.4, 0.2, -0.5, 0.9, 0.1])
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_paired_difference_of_means_is_that_of_the_t_test(stats: Any) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.2, 1, 200), rng.normal(0, 1, 200)
    difference = paired_difference(a, b, [""] * 200, resamples=5000, permutations=5000)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval()
    assert difference.value == pytest.approx(a.mean() - b.mean())
    assert difference.p == pytest.approx(expected.pvalue, abs=0.02)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high), abs=0.02)


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 9), (9, 3), (120, 171), (5, 5)])
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int, stats: Any) -> None:
    assert mcnemar_p(only_a, only_b) == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)


def test_the_bootstrap_interval_of_a_mean(stats: Any) -> None:
    values = np.random.default_rng(20250613).exponential(size=200)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9999, rng=1).confidence_interval
    low, high = percentile_interval(bootstrap_sums(values[:, None], [""] * 200, resamples=9999) / 200)
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.012)
