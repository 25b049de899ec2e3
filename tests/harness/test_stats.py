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
    monkeypatch.setattr("harness.stats.resampling.CELLS_PER_CHUNK", 1000)
    np.testing.assert_array_equal(bootstrap_sums(values, groups, resamples=300), at_once[0])
    assert paired_difference(values[:, 0], values[:, 1], groups) == at_once[1]


def test_sign_flip_by_enumeration() -> None:
    """Differences 3, 2, 1, -1: of the 16 sign patterns of (3, 2, 1, 1) their sum 5 is reached or passed by 5 and 7.

    The sum 7 is reached once (all plus), 5 twice (one of the ones turned); as many at the other end: p = 6 / 16.
    """
    assert sign_flip_p(np.array([3.0, 2.0, 1.0, -1.0])) == pytest.approx(6 / 16)
    assert sign_flip_p(np.array([1.0, 1.0, 1.0, 1.0, 1.0])) == pytest.approx(2 / 32)
    assert sign_flip_p(np.array([0.0, 1.0])) == 1.0


def test_swaps_of_whole_groups_by_enumeration() -> None:
    """Images x (+2, +1), y (+1) and z (-1, 0) have sums 3, 1, -1: the observed 3 of 8 patterns -5 -3 -3 -1 1 3 3 5.

    Three patterns reach 3 (5, 3, 3), three -3 or less: p = 6 / 8.
    By samples the differences are 2, 1, 1, -1: 5 is reached once and 3 thrice, p = 8 / 16.
    """
    a, b = np.array([2.0, 1.0, 1.0, -1.0, 0.0]), np.zeros(5)
    by_image = paired_difference(a, b, ["x", "x", "y", "z", "z"], resamples=10)
    assert (by_image.value, by_image.p, by_image.n) == (pytest.approx(3 / 5), pytest.approx(6 / 8), 5)
    assert paired_difference(a, b, [""] * 5, resamples=10).p == pytest.approx(8 / 16)


def test_drawn_swaps_count_the_observed_one() -> None:
    """30 differences of 1 have 2**30 patterns; of 99 drawn ones and their opposites none comes near, so p = 2 / 200."""
    assert sign_flip_p(np.ones(30), permutations=99) == pytest.approx(2 * 1 / (2 * 99 + 2))


def test_interval_of_two_samples_by_hand() -> None:
    """Samples 0 and 1: a resample has the mean 0, 1/2, 1/2 or 1, so a quarter of the draws lies at either end.

    The central 95 % (2.5 % cut off) reaches both ends, the central 40 % (30 % cut off) only the middle.
    """
    draws = bootstrap_sums(np.array([[0.0], [1.0]]), ["", ""], resamples=4000) / 2
    shares = [float(np.mean(draws == mean)) for mean in (0.0, 0.5, 1.0)]
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert [float(bound[0]) for bound in percentile_interval(draws)] == [0.0, 1.0]
    assert [float(bound[0]) for bound in percentile_interval(draws, 0.4)] == [0.5, 0.5]


def test_percentiles_by_hand() -> None:
    """Draws 0, 1, ..., 100: 2.5 % below 2.5, 2.5 % above 97.5; draws that are no number say nothing."""
    draws = np.append(np.arange(101.0), [np.nan, np.inf])[:, None]
    low, high = percentile_interval(draws)
    assert (low[0], high[0]) == (pytest.approx(2.5), pytest.approx(97.5))


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


def test_mcnemar_by_hand() -> None:
    """Four discordant samples: 0 to 4 is 2 / 16, 1 to 3 is 2 (1 + 4) / 16; 3 to 9 is 2 (1 + 12 + 66 + 220) / 4096."""
    assert mcnemar_p(0, 4) == pytest.approx(2 / 16)
    assert mcnemar_p(3, 1) == mcnemar_p(1, 3) == pytest.approx(10 / 16)
    assert mcnemar_p(3, 9) == mcnemar_p(9, 3) == pytest.approx(2 * 299 / 4096)
    assert mcnemar_p(5, 5) == mcnemar_p(0, 0) == 1.0


def test_holm_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1: 0.02, 0.03, 0.06 and 0.04, which may not fall below 0.06."""
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
