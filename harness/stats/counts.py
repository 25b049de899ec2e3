"""Tests of counts, and of several comparisons together; the spread over seeds."""

from __future__ import annotations

import bisect
import functools
import math
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Exact two-sided McNemar test: how many samples A alone got right, and B alone (a fair coin under the null)."""
    n, k = only_a + only_b, min(only_a, only_b)
    logs = [math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2) for i in range(k + 1)]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def holm(p_values: Sequence[float], rows: int | None = None) -> list[float]:
    """Holm's adjusted p-values, in the order given; NaN stays NaN and does not count as a test.

    ``rows``: the tests are pairs of so many rows, and rows that equal a third one equal each other. Then not every
    number of equalities is possible, and each step counts the most that can still be true where Holm counts all tests
    that are left (Shaffer 1986, procedure S1): more differences are found at the same level over the family.
    """
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    possible = range(len(order) + 1) if rows is None else equal_pairs(rows)
    largest = 0.0
    for rank, (p, i) in enumerate(order):
        most = possible[bisect.bisect_right(possible, max(0, possible[-1] - rank)) - 1]
        left = min(len(order) - rank, most)
        largest = max(largest, min(1.0, left * p))
        adjusted[i] = largest
    return adjusted


@functools.cache
def equal_pairs(rows: int) -> tuple[int, ...]:
    """How many of all pairs of ``rows`` can be equal at once, ascending: j rows that are equal are j (j - 1) / 2 such
    pairs, and the others make groups of their own (Shaffer 1986, section 2). Of three rows none, one or three, not two.
    """
    possible = [1]  # by number of rows: bit k is set where k pairs can be equal; sets would take minutes of 150 rows
    for many in range(1, rows + 1):
        groups = (possible[many - j] << math.comb(j, 2) for j in range(1, many + 1))
        possible.append(functools.reduce(operator.or_, groups))
    return tuple(count for count, bit in enumerate(f"{possible[rows]:b}"[::-1]) if bit == "1")


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) over training seeds; the spread of a single seed is NaN, not 0."""
    if not values:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def kendall_tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kendall's tau-b of two orders of the same items, [..., items] each, to [...]; NaN where one has ties alone.

    (concordant - discordant pairs) / sqrt(pairs without a tie in a * pairs without one in b). Source: Kendall 1945,
    "The treatment of ties in ranking problems".
    """
    first, second = np.triu_indices(a.shape[-1], 1)
    of_a, of_b = (np.sign(side[..., first] - side[..., second]) for side in (a, b))
    untied = (of_a != 0).sum(axis=-1) * (of_b != 0).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(untied > 0, (of_a * of_b).sum(axis=-1) / np.sqrt(untied), np.nan))
