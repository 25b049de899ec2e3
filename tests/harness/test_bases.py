"""What base models add to the error of a difference: by hand, and against simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest

from harness.stats import Array, base_variance, error, jackknife_variance


def test_the_variance_is_the_mean_square_of_interaction() -> None:
    """Rows 1, 2, 6 and 3, 4, 2: means 3 and 3, of the bases 2, 3, 4. Left of row 1: -1, -1, 2; of row 2: 1, 1, -2.

    Squares 12, over (2 - 1)(3 - 1) degrees of freedom: 6. Twice that over 3 bases is the variance of the difference,
    and that of the paired differences -2, -2, 4 is as much: (4 + 4 + 16) / 2 / 3 = 4 = 2 * 6 / 3.
    """
    figures = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 2.0]])[..., None]
    found = base_variance([figures], [np.zeros((5, 2, 3, 1))])
    assert found is not None
    assert (found.total.tolist(), found.df.tolist(), found.answered.tolist()) == ([6.0], [2.0], [0.0])
    apart = figures[0] - figures[1]
    assert 2 * found.total[0] / 3 == pytest.approx(apart.var(ddof=1) / 3)


def test_panels_are_pooled_by_their_degrees_of_freedom_and_one_base_says_nothing() -> None:
    two = np.array([[1.0, 2.0, 6.0], [3.0, 4.0, 2.0]])[..., None]
    none = np.zeros((3, 3, 1))
    found = base_variance([two, none], [np.zeros((5, 2, 3, 1)), np.zeros((5, 3, 3, 1))])
    assert found is not None
    assert (found.total.tolist(), found.df.tolist()) == ([12 / (2 + 4)], [6.0])
    assert base_variance([two[:, :1], none[:1]], [np.zeros((5, 2, 1, 1)), np.zeros((5, 1, 3, 1))]) is None


def test_what_the_samples_explain_is_of_the_interaction_too() -> None:
    """Of two groups the first moves row 1 under base 1 by 1: its interaction is +-0.25 in all four cells.

    The jackknife of 0.25 and 0 is 1/2 * 2 * 0.125^2 = 0.015625 a cell; four cells over one degree of freedom.
    """
    influence = np.zeros((2, 2, 2, 1))
    influence[0, 0, 0] = 1.0
    found = base_variance([np.zeros((2, 2, 1))], [influence])
    assert found is not None and found.answered.tolist() == pytest.approx([4 * 0.015625])


ROWS, BASES, SEEDS, IMAGES, TRIALS = 5, 3, 5, 40, 1500


def experiments(rng: np.random.Generator, of_base: float) -> tuple[Array, Array]:
    """Means over seeds, [rows, bases, trials], and influences of images, of rows that are equal but for chance.

    A base moves all rows by 3, each row's effect by ``of_base``; a seed moves a run by 0.5; on an image all runs differ
    by 5, one run by 4.
    """
    truth = rng.normal(0, 3, (1, BASES, TRIALS)) + rng.normal(0, of_base, (ROWS, BASES, TRIALS))
    runs = truth + rng.normal(0, 0.5 / np.sqrt(SEEDS), (ROWS, BASES, TRIALS))
    images = rng.normal(0, 5, (IMAGES, 1, 1, TRIALS)) + rng.normal(0, 4 / np.sqrt(SEEDS), (IMAGES, ROWS, BASES, TRIALS))
    answers = runs + images
    return answers.mean(axis=0), (answers - answers.mean(axis=0)) / (IMAGES - 1)


@pytest.mark.parametrize("of_base", [0.0, 0.6, 2.0])
def test_two_equal_methods_are_called_different_in_about_5_of_100_experiments(of_base: float) -> None:
    figures, influence = experiments(np.random.default_rng(20261127), of_base)
    variance = base_variance([figures], [influence])
    assert variance is not None
    samples = jackknife_variance((influence[:, 0] - influence[:, 1]).mean(axis=1))
    found = error(samples, np.full(TRIALS, float(IMAGES)), variance, 2 / BASES)
    called = found.p((figures[0] - figures[1]).mean(axis=0)) < 0.05
    assert 0.035 <= called.mean() <= 0.065
