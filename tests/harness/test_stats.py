from __future__ import annotations

import math

import numpy as np
import pytest

from harness.evaluation.metrics import Scored, summarise
from harness.protocols.benchmark import Metric
from harness.protocols.benchmark import ratio as harness_ratio
from harness.stats import (
    Array,
    bootstrap_sums,
    enough_to_resample,
    group_sums,
    holm,
    mcnemar_p,
    mean_and_spread,
    paired_difference,
    paired_differences,
    percentile_interval,
    sign_flip_p,
    smallest_difference,
)

stats = pytest.importorskip("scipy.stats")


def ratio(sums: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Array = 100 * sums[..., :1] / sums[..., 1:2]
    return shares


def test_samples_of_a_group_are_added_up_and_ungrouped_ones_stand_alone() -> None:
    values = np.array([[1.0], [2.0], [4.0], [8.0]])
    assert sorted(group_sums(values, ["x", "", "x", ""]).ravel()) == [2.0, 5.0, 8.0]
    with pytest.raises(ValueError, match="4 samples, but 1 groups"):
        group_sums(values, ["x"])


def test_bootstrap_of_a_mean_has_the_closed_form_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=(300, 1))
    sums = bootstrap_sums(values, [""] * 300, resamples=20_000)
    assert sums.mean() / 300 == pytest.approx(values.mean(), abs=0.002)
    assert sums.std() / 300 == pytest.approx(values.std() / math.sqrt(300), rel=0.02)


def test_copies_of_a_sample_in_one_group_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(2).normal(size=(50, 1))
    once = bootstrap_sums(values, [str(i) for i in range(50)], resamples=500, seed=3)
    tenfold = bootstrap_sums(np.repeat(values, 10, axis=0), [str(i // 10) for i in range(500)], resamples=500, seed=3)
    np.testing.assert_allclose(tenfold, 10 * once)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(300):
        words = rng.poisson(5, size=80) + 1.0
        wrong = rng.binomial(words.astype(int), 0.3).astype(float)
        draws = ratio(bootstrap_sums(np.stack([wrong, words], 1), [""] * 80, resamples=400, seed=trial))
        low, high = percentile_interval(draws)
        hits += low[0] <= 30 <= high[0]
    assert 0.91 <= hits / 300 <= 0.98


def test_the_interval_of_nothing_is_nan() -> None:
    low, high = percentile_interval(np.full((10, 2), np.nan))
    assert np.isnan([low, high]).all()


def test_many_resamples_in_small_pieces_are_those_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 2, size=(700, 3)).astype(float)
    groups = [f"{i % 90}" for i in range(700)]
    at_once = bootstrap_sums(values, groups, resamples=300), paired_difference(values[:, 0], values[:, 1], groups)
    monkeypatch.setattr("harness.stats.CELLS_PER_CHUNK", 1000)
    np.testing.assert_array_equal(bootstrap_sums(values, groups, resamples=300), at_once[0])
    assert paired_difference(values[:, 0], values[:, 1], groups) == at_once[1]


def test_exact_sign_flip_agrees_with_scipy() -> None:
    differences = np.array([0.3, -0.1, 0.8, 0.4, 0.2, -0.5, 0.9, 0.1])
    expected = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    ).pvalue
    assert sign_flip_p(differences) == pytest.approx(expected)


def test_paired_difference_of_means_agrees_with_the_t_test() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.2, 1, 200), rng.normal(0, 1, 200)
    found = paired_difference(a, b, [""] * 200, resamples=5000, permutations=5000)
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval()
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert found.p == pytest.approx(expected.pvalue, abs=0.02)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.02)


def test_paired_ratio_of_two_groups_by_hand() -> None:
    # A: (1 + 1) / 4 = 50 %, B: 0 %. The four swaps give 50, 0 (twice), -50: two of four are as extreme.
    a, b = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 2.0], [0.0, 2.0]])
    (found,) = paired_differences(ratio, a, b, ["x", "y"], resamples=50)
    assert (found.value, found.low, found.high, found.p, found.n) == (50, 50, 50, 0.5, 2)


def test_equal_runs_do_not_differ() -> None:
    a = np.random.default_rng(6).integers(1, 4, size=(30, 2)).astype(float)
    (found,) = paired_differences(ratio, a, a, [""] * 30)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_permutation_p_values_are_uniform_under_the_null() -> None:
    rng = np.random.default_rng(7)
    groups = [str(i // 2) for i in range(60)]
    p_values = []
    for trial in range(200):
        a, b = rng.normal(size=(2, 30)).repeat(2, axis=1)  # samples of a group move together
        p_values.append(paired_difference(a, b, groups, resamples=1, permutations=200, seed=trial).p)
    assert np.mean(np.array(p_values) < 0.05) < 0.09


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (3, 9), (9, 3), (120, 171), (5, 5)])
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    expected = stats.binomtest(only_a, n).pvalue if n else 1.0
    assert mcnemar_p(only_a, only_b) == pytest.approx(expected)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([math.nan, 0.5])[1] == 0.5
    assert math.isnan(holm([math.nan, 0.5])[0])
    assert holm([]) == []


def test_a_single_seed_has_no_spread() -> None:
    assert mean_and_spread([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))
    assert mean_and_spread([5.0])[0] == 5.0
    assert math.isnan(mean_and_spread([5.0])[1])


def test_one_group_has_no_interval_and_agreement_no_smallest_difference() -> None:
    a, b = np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
    (found,) = paired_differences(ratio, a, b, ["x", "x"])
    assert (found.value, found.p, found.n) == (100, 1.0, 2)
    assert np.isnan([found.low, found.high, found.smallest]).all()
    (agreeing,) = paired_differences(ratio, a, b, ["", "x"])
    assert (agreeing.low, agreeing.high) == (100, 100) and math.isnan(agreeing.smallest)
    assert math.isnan(smallest_difference((0.1 + 0.2, 0.3))), "a width of nothing but rounding"
    assert [enough_to_resample(g) for g in ([], [""], ["x", "x"], ["x", "y"], ["", "x"])] == [False] * 3 + [True] * 2


def test_a_stored_figure_of_one_group_has_no_interval() -> None:
    metric = Metric("share", harness_ratio("a", "b"), True)
    scored = [Scored(str(i), 0, "x", {"a": 1.0, "b": 2.0}) for i in range(3)]
    assert summarise([metric], scored)["share"]["value"] == 50
    assert summarise([metric], scored)["share"]["low"] is None
    assert summarise([metric], [*scored, Scored("3", 0, "y", {"b": 2.0})])["share"]["low"] is not None
