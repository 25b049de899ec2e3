"""Figures of yes/no questions that no constant answer can buy, and the one that shows it: both in percent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TRIVIAL_ANSWERS = {"always Yes": "Yes", "always No": "No"}
"""``Benchmark.trivial_answers`` of yes/no questions."""
BALANCED, YES_RATIO, UNREAD = "balanced_accuracy", "yes_ratio", "unread"
"""The third is the share of answers that say neither, where these are no failed samples."""
TITLES = {BALANCED: "Balanced accuracy", YES_RATIO: "Yes ratio", UNREAD: "Unread"}


def share(part: Array, whole: Array) -> Array:
    """100 * part / whole; NaN where there is nothing."""
    return np.where(whole > 0, 100.0 * part / np.where(whole > 0, whole, 1.0), np.nan)


def balanced_accuracy(yes_right: Array, truth_yes: Array, no_right: Array, truth_no: Array) -> Array:
    """The mean of how many yes and how many no questions are answered rightly: 50 for any constant answer and any coin.

    NaN where all questions have the same answer (AMBER's existence questions are all no): there silence in the other
    word is not tested. Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".
    """
    return (share(yes_right, truth_yes) + share(no_right, truth_no)) / 2
