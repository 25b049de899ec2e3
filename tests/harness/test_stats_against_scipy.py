"""The statistics against scipy's."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from harness.stats import bootstrap_sums, error, influences, mcnemar_p, percentile_interval, sign_flip_p
from harness.stats.student import t_bound, t_p

pytestmark = pytest.mark.needs("scipy")


@pytest.fixture
def stats() -> Any:
    return importlib.import_module("scipy.stats")


def test_exact_sign_flip(stats: Any) -> None:
    differences = np.array([0.3, -0.1, 0.8, 0.4, 0.2, -0.5, 0.9, 0.1])
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected, rel=1e-5)


def test_the_jackknife_of_a_mean_is_the_paired_t_test(stats: Any) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.2, 1, 40), rng.normal(0, 1, 40)
    expected = stats.ttest_rel(a, b)
    moved = influences(lambda sums: sums / len(a), np.stack([a - b], axis=1))
    found = error(np.array([(a - b).var(ddof=1) / 40]), np.array([40.0]))
    assert found.p(np.array([(a - b).mean()])) == pytest.approx([expected.pvalue])
    interval = expected.confidence_interval()
    assert found.half[0] == pytest.approx((interval.high - interval.low) / 2)
    assert moved[:, 0] == pytest.approx((a - b) / 40)


@pytest.mark.parametrize("df", [1.0, 2.5, 8.0, 30.0, 499.0, 15_000.0])
def test_students_t(df: float, stats: Any) -> None:
    t = np.array([0.0, 0.1, 1.0, 2.0, 5.0, 30.0])
    np.testing.assert_allclose(t_p(t, df), 2 * stats.t.sf(t, df), rtol=1e-9)
    for level in (0.4, 0.05, 0.001):
        assert float(t_bound(level, df)) == pytest.approx(stats.t.isf(level / 2, df), rel=1e-9)


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 9), (9, 3), (120, 171), (5, 5)])
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int, stats: Any) -> None:
    assert mcnemar_p(only_a, only_b) == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)


def test_the_bootstrap_interval_of_a_mean(stats: Any) -> None:
    values = np.random.default_rng(20250613).exponential(size=200)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9999, rng=1).confidence_interval
    low, high = percentile_interval(bootstrap_sums(values[:, None], [""] * 200, resamples=9999) / 200)
    assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=0.012)
