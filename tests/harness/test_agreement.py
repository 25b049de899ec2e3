"""Agreement of raters: published examples, and tables worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.stats.agreement import alpha, coincidences, confusion, kappa, run_share, run_variances, shares

Array = NDArray[np.float64]


def rated(rows: list[str]) -> Array:
    """Ratings [units, raters] of one string a rater; * is none."""
    return np.array([[math.nan if word == "*" else float(word) for word in row.split()] for row in rows]).T


THREE = rated(["* * * * * 3 4 1 2 1 1 3 3 * 3", "1 * 2 1 3 3 4 3 * * * * * * *", "* * 2 1 3 4 4 * 2 1 1 3 3 * 4"])
FOUR = rated(
    ["1 2 3 3 2 1 4 1 2 * * *", "1 2 3 3 2 2 4 1 2 5 * 3", "* 3 3 3 2 3 4 2 2 5 1 *", "1 2 3 3 2 4 4 1 2 5 1 *"]
)


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (THREE, "nominal", 0.691),
        (THREE, "interval", 0.811),
        (FOUR, "nominal", 0.743),
        (FOUR, "ordinal", 0.815),
        (FOUR, "interval", 0.849),
    ],
)
def test_krippendorffs_published_examples(ratings: Array, level: str, published: float) -> None:
    """Krippendorff 2011 (four observers, twelve units), and the three coders of fifteen units of the encyclopaedia."""
    values = sorted({float(v) for v in ratings.ravel() if math.isfinite(v)})
    assert alpha(coincidences(ratings, values).sum(axis=0), values, level) == pytest.approx(published, abs=5e-4)


def pairs(a: list[float], b: list[float]) -> tuple[Array, list[float]]:
    values = sorted({*a, *b})
    sides = (shares(np.array(side)[:, None], values) for side in (a, b))
    return confusion(*sides).sum(axis=0), values


def test_kappa_of_fifty_answers() -> None:
    """Both yes 20, both no 15, yes-no 5, no-yes 10: agreed .7, by chance .5 * .6 + .5 * .4 = .5, kappa .2 / .5 = .4."""
    a = [1.0] * 25 + [0.0] * 25
    b = [1.0] * 20 + [0.0] * 5 + [1.0] * 10 + [0.0] * 15
    table, values = pairs(a, b)
    assert kappa(table, values) == pytest.approx(0.4)


def test_weighted_kappa_counts_squared_distances() -> None:
    """A 0 0 1 2, B 0 1 1 1: squared distances 0 1 0 1, mean .5; by chance (2*3*1 + 1*1 + 4 + 3) / 16 = .875."""
    table, values = pairs([0, 0, 1, 2], [0, 1, 1, 1])
    assert kappa(table, values, weighted=True) == pytest.approx(1 - 0.5 / 0.875)


def test_a_rating_that_never_varies_has_no_agreement() -> None:
    table, values = pairs([1, 1, 1], [1, 1, 1])
    assert np.isnan(kappa(table, values))
    assert np.isnan(alpha(table + table, values, "nominal"))


def test_runs_of_a_rater_are_averaged_over_all_pairs() -> None:
    """A said 1 and 0, B said 1: half of the pairs agree; with (1, 1) beside it .75 and .25 of two units."""
    values = [0.0, 1.0]
    a = shares(np.array([[1.0, 0.0], [1.0, 1.0]]), values)
    b = shares(np.array([[1.0], [1.0]]), values)
    assert confusion(a, b).sum(axis=0).tolist() == [0, 0.5, 0, 1.5]


def test_the_share_of_judge_runs() -> None:
    """Units rated (1, 3) and (5, 5): within 1; means 2 and 5, variance 4.5, less 1 / 2: between 4; share 1 / 5.

    A unit that was rated once says nothing of it.
    """
    ratings = np.array([[1.0, 3.0], [5.0, 5.0], [9.0, math.nan]])
    assert run_share(run_variances(ratings).sum(axis=0)) == pytest.approx(0.2)
    assert np.isnan(run_share(run_variances(ratings[:1]).sum(axis=0)))


def test_figures_of_many_sums_at_once_are_those_of_each() -> None:
    """What the bootstrap asks for: leading axes are kept, ordinal distances are of each table's own margins."""
    values = [0.0, 1.0, 2.0]
    columns = coincidences(np.array([[0.0, 1.0], [2.0, 2.0], [1.0, 1.0], [0.0, 0.0]]), values)
    sums = np.stack([columns.sum(axis=0), columns[:3].sum(axis=0)])
    for level in ("nominal", "ordinal", "interval"):
        assert alpha(sums, values, level).tolist() == [float(alpha(one, values, level)) for one in sums]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="nominal, ordinal, interval"):
        alpha(np.ones(4), [0.0, 1.0], "ratio")
