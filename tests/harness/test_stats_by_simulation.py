"""The statistics against simulated data whose truth is known. Seeds were fixed before the first run."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import (
    Array,
    Difference,
    bootstrap_sums,
    error,
    group_sums,
    holm,
    influences,
    jackknife_variance,
    mcnemar_p,
    percentile_interval,
    shares,
    sign_flip_p,
)

SEED = 20250613
NULL_SEED = 20261125


def ratio(sums: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100 * sums[..., :1] / sums[..., 1:2])


def difference(a: Array, b: Array, groups: list[str]) -> Difference:
    """A minus B as two checkpoints are compared."""
    moved = [influences(ratio, group_sums(side, groups)) for side in (a, b)]
    value = ratio(a.sum(axis=0)) - ratio(b.sum(axis=0))
    p = sign_flip_p(shares(value, moved[0] - moved[1])[:, 0])
    found = error(jackknife_variance(moved[0] - moved[1]), np.array([len(moved[0])]))
    low, high = float((value - found.half)[0]), float((value + found.half)[0])
    return Difference(float(value[0]), low, high, p, len(a), df=float(found.df[0]))


def answers(
    rng: np.random.Generator, images: int, per_image: int, shift: float = 0.0
) -> tuple[Array, Array, list[str]]:
    """Hallucinated and all mentions of two runs on the same clustered samples; B hallucinates ``shift`` more often.

    An image makes both runs hallucinate more or less (rate 0.1 to 0.5): samples of one image are not independent.
    """
    rate = rng.uniform(0.1, 0.5, size=images).repeat(per_image)
    runs = []
    for extra in (0.0, shift):
        words = rng.integers(2, 9, size=images * per_image)
        runs.append(np.stack([rng.binomial(words, np.clip(rate + extra, 0, 1)), words], axis=1).astype(float))
    return runs[0], runs[1], [str(i // per_image) for i in range(images * per_image)]


def test_intervals_of_a_clustered_ratio_cover_the_truth_95_times_in_100() -> None:
    rng = np.random.default_rng(SEED)
    trials, hits = 2000, 0
    for trial in range(trials):
        a, _, groups = answers(rng, images=150, per_image=2)
        low, high = percentile_interval(ratio(bootstrap_sums(a, groups, resamples=1000, seed=trial)))
        hits += int(low[0] <= 30 <= high[0])  # the mean rate over images is 0.3
    assert 0.93 <= hits / trials <= 0.97


def test_intervals_that_ignore_the_clusters_would_be_too_narrow() -> None:
    """What clustering is for: with ten questions an image, samples taken as independent give false certainty."""
    a, _, groups = answers(np.random.default_rng(SEED), images=60, per_image=10)
    widths = []
    for names in (groups, [""] * len(groups)):
        low, high = percentile_interval(ratio(bootstrap_sums(a, names, resamples=1000)))
        widths.append(high[0] - low[0])
    assert widths[0] > 1.5 * widths[1]


@pytest.mark.parametrize(("seed", "trials"), [pytest.param(SEED, 8000, marks=pytest.mark.sweep), (NULL_SEED, 1500)])
def test_no_difference_is_found_in_at_most_6_of_100_nulls(seed: int, trials: int) -> None:
    """Nor does the interval leave it out."""
    rng = np.random.default_rng(seed)
    found = missed = 0
    for _ in range(trials):
        each = difference(*answers(rng, images=60, per_image=2))
        found += each.p < 0.05
        missed += not each.low <= 0 <= each.high
    assert found / trials <= 0.06
    assert missed / trials <= 0.06


def test_the_sign_flip_test_keeps_its_power_where_one_side_says_three_times_less() -> None:
    """B hallucinates 10 points more and mentions a third of what A does: found four times in five, and no difference is
    found more often than it may be."""
    rng = np.random.default_rng(SEED)
    found = {0.0: 0, 0.1: 0}
    for shift in found:
        for _ in range(300):
            rate = rng.uniform(0.1, 0.5, size=120)
            words = rng.integers(6, 16, size=120), rng.integers(2, 6, size=120)
            a, b = (
                np.stack([rng.binomial(n, rate + extra), n], axis=1).astype(float)
                for n, extra in zip(words, (0.0, shift), strict=True)
            )
            found[shift] += difference(a, b, [""] * 120).p < 0.05
    assert found[0.0] / 300 <= 0.08
    assert found[0.1] / 300 >= 0.8


def test_a_planted_difference_is_found() -> None:
    found = difference(*answers(np.random.default_rng(SEED), images=300, per_image=2, shift=0.08))
    assert found.p < 0.01
    assert found.low <= -8 <= found.high < 0


def test_the_smallest_difference_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(SEED)
    null = difference(*answers(rng, images=200, per_image=2))
    found = 0
    for _ in range(300):
        found += difference(*answers(rng, images=200, per_image=2, shift=null.smallest / 100)).p < 0.05
    assert 0.72 <= found / 300 <= 0.88


def test_the_smallest_difference_by_the_closed_form_of_a_paired_t_test() -> None:
    """100 differences of standard deviation 1: se 0.1; (1.95996 + 0.84162) * 0.1 = 0.28016."""
    assert Difference(0, -0.195996, 0.195996, 1, 100).smallest == pytest.approx(0.28016, abs=1e-5)


def test_holm_keeps_the_error_of_a_table_below_its_level() -> None:
    p = np.random.default_rng(SEED).uniform(size=(2000, 5))
    any_found = np.mean([min(holm(list(row))) < 0.05 for row in p])
    assert any_found <= 0.06


def test_mcnemar_of_a_null_is_conservative() -> None:
    rng = np.random.default_rng(SEED)
    tables = rng.multinomial(80, [0.4, 0.15, 0.15, 0.3], size=2000)
    assert np.mean([mcnemar_p(int(t[1]), int(t[2])) < 0.05 for t in tables]) <= 0.05


def test_the_clustered_bootstrap_has_the_sandwich_standard_error() -> None:
    """The delta method with cluster-robust variance (Liang and Zeger 1986), for a ratio of sums."""
    a, _, groups = answers(np.random.default_rng(SEED), images=400, per_image=3)
    by_image = a.reshape(400, 3, 2).sum(axis=1)
    share = by_image[:, 0].sum() / by_image[:, 1].sum()
    residual = by_image[:, 0] - share * by_image[:, 1]
    expected = 100 * np.sqrt(np.sum(residual**2)) / by_image[:, 1].sum()
    drawn = ratio(bootstrap_sums(a, groups, resamples=8000))
    assert drawn.std() == pytest.approx(expected, rel=0.03)
