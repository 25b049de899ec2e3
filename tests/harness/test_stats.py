from __future__ import annotations

import math
import time

import numpy as np
import pytest

from harness.evaluation.metrics import Scored, summarise
from harness.protocols.benchmark import Metric
from harness.protocols.benchmark import ratio as harness_ratio
from harness.stats import (
    Array,
    Difference,
    SeedVariance,
    bootstrap_interval,
    bootstrap_sums,
    enough_to_resample,
    equal_pairs,
    error,
    group_sums,
    holm,
    influences,
    jackknife_variance,
    kendall_tau,
    mcnemar_p,
    mean_and_spread,
    percentile_interval,
    pooled_seed_variance,
    resampling,
    shares,
    sign_flip_p,
    without_pair,
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
    at_once = bootstrap_sums(values, groups, resamples=300)
    monkeypatch.setattr(resampling, "CELLS_PER_CHUNK", 1000)
    monkeypatch.setattr(resampling, "KEPT_CELLS", 0)
    np.testing.assert_array_equal(bootstrap_sums(values, groups, resamples=300), at_once)


def test_draws_that_are_kept_are_those_that_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """All figures of one seed and number of groups share them, and no others."""
    values = np.random.default_rng(3).random((50, 2))
    monkeypatch.setattr(resampling, "CELLS_PER_CHUNK", 170)

    def drawn(scale: float, seed: int) -> Array:
        return bootstrap_sums(scale * values, [""] * 50, resamples=20, seed=seed)

    calls = ((1.0, 5), (2.0, 5), (1.0, 6))
    kept = [drawn(*call) for call in calls]
    assert np.array_equal(kept[1], 2 * kept[0]) and not np.array_equal(kept[2], kept[0])
    monkeypatch.setattr(resampling, "KEPT_CELLS", 0)
    assert np.array_equal([drawn(*call) for call in calls], kept)


def test_sign_flip_by_enumeration() -> None:
    """Differences 3, 2, 1, -1: of the 16 sign patterns of (3, 2, 1, 1) their sum 5 is reached or passed by 5 and 7.

    The sum 7 is reached once (all plus), 5 twice (one of the ones turned); as many at the other end: p = 6 / 16.
    """
    assert sign_flip_p(np.array([3.0, 2.0, 1.0, -1.0])) == pytest.approx(6 / 16, rel=1e-5)
    assert sign_flip_p(np.ones(5)) == pytest.approx(2 / 32, rel=1e-5)
    assert sign_flip_p(np.array([0.0, 1.0])) == 1.0
    assert sign_flip_p(np.zeros(3)) == 1.0
    assert math.isnan(sign_flip_p(np.array([1.0, np.nan])))


def test_sign_flips_of_whole_groups_by_enumeration() -> None:
    """Images x (+2, +1), y (+1) and z (-1, 0) have sums 3, 1, -1: the observed 3 of 8 patterns -5 -3 -3 -1 1 3 3 5.

    Three patterns reach 3 (5, 3, 3), three -3 or less: p = 6 / 8.
    By samples the differences are 2, 1, 1, -1: 5 is reached once and 3 thrice, p = 8 / 16.
    """
    differences = np.array([[2.0], [1.0], [1.0], [-1.0], [0.0]])
    assert sign_flip_p(group_sums(differences, ["x", "x", "y", "z", "z"])[:, 0]) == pytest.approx(6 / 8, rel=1e-5)
    assert sign_flip_p(differences[:, 0]) == pytest.approx(8 / 16, rel=1e-5)


@pytest.mark.parametrize(("plus", "minus"), [(3, 9), (40, 70), (700, 850)])
def test_sign_flips_of_equal_sizes_are_mcnemars_test(plus: int, minus: int) -> None:
    """Differences of 1 and -1 alone are a fair coin's, whose exact p is McNemar's, by another formula."""
    assert sign_flip_p(np.array([1.0] * plus + [-1.0] * minus)) == pytest.approx(mcnemar_p(plus, minus), rel=1e-4)


def test_no_p_is_below_what_so_many_groups_can_give() -> None:
    """60 differences of 1: two of 2**60 patterns. A p is not made smaller than 2**-39, which rounding could fake."""
    assert 0 < sign_flip_p(np.ones(60)) <= 2.0**-39
    assert sign_flip_p(np.arange(1.0, 21.0)) == pytest.approx(2.0**-19, rel=1e-3)


def test_what_images_add_to_a_difference_of_ratios() -> None:
    """A: 1 of 2 and 1 of 2, B: 0 of 4 and 1 of 4: 50 % and 12.5 %, a difference of 37.5 points.

    Without image 1 it is 50 - 25 = 25, without image 2 50 - 0 = 50, so they add 12.5 and -12.5 to it: about the mean 0
    half of that, 6.25 and -6.25, and half of 37.5 each: 25 and 12.5, in sum 37.5.
    """
    a, b = np.array([[1.0, 2.0], [1.0, 2.0]]), np.array([[0.0, 4.0], [1.0, 4.0]])
    moved = influences(ratio, a) - influences(ratio, b)
    assert moved[:, 0] == pytest.approx([12.5, -12.5])
    assert shares(np.array([37.5]), moved)[:, 0] == pytest.approx([25.0, 12.5])


def test_sign_flip_p_values_are_uniform_under_the_null() -> None:
    rng = np.random.default_rng(7)
    p_values = []
    for _ in range(400):
        a, b = rng.normal(size=(2, 30))
        p_values.append(sign_flip_p(a - b))
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    """1, 2, 3, 6 of four images: variance (4 + 1 + 0 + 9) / 3, of the mean 14 / 12; without an image (12 - x) / 3."""
    values = np.array([[1.0, 1.0], [2.0, 1.0], [3.0, 1.0], [6.0, 1.0]])
    moved = influences(lambda sums: sums[..., :1] / sums[..., 1:], values)
    assert moved[:, 0] == pytest.approx([3 - 11 / 3, 3 - 10 / 3, 0, 3 - 2])
    assert jackknife_variance(moved) == pytest.approx([14 / 12])
    assert np.isnan(jackknife_variance(moved[:1])).all()


def test_seed_variance_is_pooled_over_methods_and_what_samples_explain_is_apart() -> None:
    """Figures 10, 12 and 20, 24, 25: squares about the means 2 and 14, 3 degrees of freedom, 16 / 3.

    Two images move seeds 0 and 1 of the first method by (1, -1) and (-1, 1): their deviations have the jackknife
    variance 1/2 * (1 + 1) = 1 each; the second method's seeds move alike. (1 + 1) / 3.
    """
    first, second = np.array([[10.0], [12.0]]), np.array([[20.0], [24.0], [25.0]])
    moved = np.array([[[1.0], [-1.0]], [[-1.0], [1.0]]])
    found = pooled_seed_variance([first, second, first[:1]], [moved, np.ones((2, 3, 1)), moved[:, :1]])
    assert found is not None
    assert (found.total[0], found.answered[0], found.df[0]) == (pytest.approx(16 / 3), pytest.approx(2 / 3), 3)
    assert pooled_seed_variance([first[:1]], [moved[:, :1]]) is None


def test_a_pair_of_seeds_is_judged_by_the_others() -> None:
    """Squares 16 with 3 degrees of freedom; a pair 2 apart holds 2 of them with one: 14 with 2. Of one none is left."""
    rest = without_pair(SeedVariance(np.array([16 / 3]), np.array([1.0]), np.array([3.0])), np.array([2.0]))
    assert rest is not None and (rest.total[0], rest.df[0]) == (pytest.approx(7.0), 2)
    assert without_pair(SeedVariance(np.ones(1), np.ones(1), np.ones(1)), np.ones(1)) is None


def test_the_error_of_both_levels_by_hand() -> None:
    """Variance over samples 1 of very many images, of which seeds explain 0.25 twice; seeds vary by 2 about their mean.

    V = 1 - 2 * 0.25 + 2 * 2 = 4.5; degrees of freedom 4.5^2 / (4^2 / 8) = 10.125, as the first part has so many.
    Student's t(0.975; 10.125) is 2.2243, z is 1.9600: half-width 2.2243 * 2.1213 = 4.7185, of which samples 1.9600 and
    seeds sqrt(4.7185^2 - 1.9600^2) = 4.2921. A difference of 4.5 has p just above .05: t = 2.1213, p = 0.0596.
    """
    seeds = SeedVariance(np.array([2.0]), np.array([0.25]), np.array([8.0]))
    found = error(np.array([1.0]), np.array([1e9]), seeds, 2.0)
    parts = (found.variance[0], found.df[0], found.half[0], found.samples[0], found.seeds[0])
    assert parts == pytest.approx((4.5, 10.125, 4.7185, 1.95996, 4.2921), rel=1e-4)
    assert found.p(np.array([4.5])) == pytest.approx([0.0596], abs=1e-4)


def test_seeds_that_happen_to_agree_take_at_most_half_the_variance_over_samples() -> None:
    """Seeds explain 0.5 twice, all of the 1; they vary by 0.1 only: V = 0 + 0.2, but not below 0.5."""
    seeds = SeedVariance(np.array([0.1]), np.array([0.5]), np.array([4.0]))
    found = error(np.array([1.0]), np.array([500.0]), seeds, 2.0)
    assert found.variance[0] == 0.5 and found.samples[0] <= found.half[0]


def test_without_seeds_the_error_is_the_samples_with_students_t() -> None:
    """Five images, variance 4: t(0.975; 4) = 2.7764, half-width 5.5529; the seeds are not counted, which is not 0."""
    found = error(np.array([4.0]), np.array([5.0]))
    assert (found.half[0], found.samples[0]) == pytest.approx((5.5529, 5.5529), rel=1e-4)
    assert math.isnan(found.seeds[0])
    assert np.isnan(error(np.array([np.nan]), np.array([1.0])).half).all()


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


def test_few_groups_widen_the_percentile_interval() -> None:
    """Five groups: the tail is Phi(-sqrt(5 / 4) t(0.975; 4)) = Phi(-3.1042) = 0.000954, not 0.025 (Hesterberg 2015)."""
    values = np.arange(5.0)[:, None]
    low, high = bootstrap_interval(lambda sums: sums / 5, values, [""] * 5, resamples=4000)
    draws = bootstrap_sums(values, [""] * 5, resamples=4000) / 5
    assert low[0] == pytest.approx(np.percentile(draws, 0.0954), abs=0.01)
    assert high[0] == pytest.approx(np.percentile(draws, 100 - 0.0954), abs=0.01)


def test_none_of_n_and_all_of_n_leave_an_end_open() -> None:
    """0 of 4 images: Wilson's upper end is z^2 / (4 + z^2) = 3.8415 / 7.8415 = 48.99 %; 4 of 4: from 51.01 %.

    An image that mentions nothing (0 of 0) is no trial: with one more of these both stay.
    """
    none, everything = np.array([[0.0, 2.0]] * 4 + [[0.0, 0.0]]), np.array([[2.0, 2.0]] * 4 + [[0.0, 0.0]])
    for values, expected in ((none, (0, 48.989)), (everything, (51.011, 100))):
        low, high = bootstrap_interval(ratio, values, [""] * 5, percent=[True], resamples=50)
        assert (low[0], high[0]) == pytest.approx(expected, abs=1e-3)
    low, high = bootstrap_interval(ratio, none, [""] * 5, percent=[False], resamples=50)
    assert (low[0], high[0]) == (0, 0), "a figure that is no share of 100 has no end to be open"


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


def test_holm_over_pairs_of_rows_counts_the_most_equalities_that_are_left() -> None:
    """Shaffer 1986, table of S(k): of five rows 0, 1, 2, 3, 4, 6 or 10 pairs are equal, so that after the first step
    (10) the next four count 6, and not 9 to 6. Of three rows two differences cannot be 0 alone: 3, 1, 1.

    Two tests without p leave eight of ten: no step counts more than are left.
    """
    assert [sorted(equal_pairs(rows)) for rows in (0, 1, 2, 3, 4, 5)] == [
        [0], [0], [0, 1], [0, 1, 3], [0, 1, 2, 3, 6], [0, 1, 2, 3, 4, 6, 10]
    ]  # fmt: skip
    assert sorted(equal_pairs(6)) == [0, 1, 2, 3, 4, 6, 7, 10, 15]
    p = [0.001 * (i + 1) for i in range(10)]
    factors = [10, 6, 6, 6, 6, 4, 4, 3, 2, 1]
    largest, expected = 0.0, []
    for value, factor in zip(p, factors, strict=True):
        largest = max(largest, value * factor)
        expected.append(largest)
    assert holm(p, rows=5) == pytest.approx(expected)
    assert holm([0.03, 0.01, 0.02], rows=3) == pytest.approx([0.03, 0.03, 0.03])
    assert holm([0.01, math.nan, 0.02], rows=3)[::2] == pytest.approx([0.02, 0.02])
    assert holm([math.nan, *p[:8], math.nan], rows=5)[1:3] == pytest.approx([8 * 0.001, 6 * 0.002])
    assert holm([0.04], rows=2) == [0.04] and holm([], rows=0) == []


def test_holm_over_all_pairs_of_two_hundred_rows_takes_no_time() -> None:
    """19,900 pairs; where one is not 0 the most that can be equal are those of 199 rows, 19,701."""
    begun = time.process_time()
    adjusted = holm([1e-6, 1e-5, *[1.0] * 19_898], rows=200)
    assert time.process_time() - begun < 5
    assert adjusted[:3] == pytest.approx([0.0199, 0.19701, 1.0])


def test_a_single_seed_has_no_spread() -> None:
    assert mean_and_spread([1.0, 3.0]) == pytest.approx((2.0, math.sqrt(2)))
    assert mean_and_spread([5.0])[0] == 5.0
    assert math.isnan(mean_and_spread([5.0])[1])


def test_the_smallest_difference_counts_degrees_of_freedom_and_level() -> None:
    """Half-width 2.2281 with 10 degrees of freedom is a standard error of 1: t(0.975) = 2.2281 and t(0.8) = 0.8791 make
    3.1072. At 5 % / 4 t(0.99375) is 3.0382, which makes 3.9173."""
    found = Difference(5.0, 5 - 2.2281, 5 + 2.2281, 0.1, 9, df=10)
    assert found.smallest == pytest.approx(3.1072, abs=1e-3)
    assert found.smallest_at(0.05 / 4) == pytest.approx(3.9173, abs=1e-3)
    assert math.isnan(Difference(0.3, 0.3, 0.1 + 0.2, 1, 2).smallest), "a width of nothing but rounding"
    assert math.isnan(Difference(0.3, math.nan, math.nan, 1, 1).smallest)


def test_seeds_that_disagree_in_sign() -> None:
    assert Difference(1, 0, 2, 0.1, 9, by_seed=(3.0, -1.0)).signs_differ
    assert not Difference(1, 0, 2, 0.1, 9, by_seed=(3.0, 0.0)).signs_differ
    assert not Difference(1, 0, 2, 0.1, 9).signs_differ


def test_one_group_cannot_be_resampled() -> None:
    assert [enough_to_resample(g) for g in ([], [""], ["x", "x"], ["x", "y"], ["", "x"])] == [False] * 3 + [True] * 2


def test_a_stored_figure_of_one_group_has_no_interval() -> None:
    metric = Metric("share", harness_ratio("a", "b"), True)
    scored = [Scored(str(i), 0, "x", {"a": 1.0, "b": 2.0}) for i in range(3)]
    assert summarise([metric], scored)["share"]["value"] == 50
    assert summarise([metric], scored)["share"]["low"] is None
    assert summarise([metric], [*scored, Scored("3", 0, "y", {"b": 2.0})])["share"]["low"] is not None


def test_kendalls_tau_counts_pairs_and_their_ties() -> None:
    """Of 3 pairs 2 agree: 1/3. With a tie in a, 2 of its 2 untied pairs agree of b's 3: 2 / sqrt(6). All tied: none."""
    a = np.array([[1.0, 2, 3], [1, 1, 2], [1, 1, 1]])
    b = np.array([[2.0, 1, 3], [1, 2, 3], [1, 2, 3]])
    assert kendall_tau(a, b) == pytest.approx([1 / 3, 2 / math.sqrt(6), math.nan], nan_ok=True)
