"""Figures of yes/no questions that no constant answer can buy, and the one that shows it: both in percent."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.yes_no import UNREADABLE, read_yes_no
from harness.protocols.benchmark import Sums, Verdict

Array = NDArray[np.float64]

TRIVIAL_ANSWERS = {"always Yes": "Yes", "always No": "No"}
"""``Benchmark.trivial_answers`` of yes/no questions."""
BALANCED, YES_RATIO, UNREAD = "balanced_accuracy", "yes_ratio", "unread"
"""The third is the share of answers that say neither, where these are no failed samples."""
TITLES = {BALANCED: "Balanced accuracy", YES_RATIO: "Yes ratio"}


def share(part: Array, whole: Array) -> Array:
    """100 * part / whole; NaN where there is nothing."""
    return np.where(whole > 0, 100.0 * part / np.where(whole > 0, whole, 1.0), np.nan)


def balanced_accuracy(yes_right: Array, truth_yes: Array, no_right: Array, truth_no: Array) -> Array:
    """The mean of how many yes and how many no questions are answered rightly: 50 for any constant answer and any coin.

    NaN where all questions have the same answer (AMBER's existence questions are all no): there silence in the other
    word is not tested. Source: Brodersen et al. 2010, "The balanced accuracy and its posterior distribution".
    """
    return (share(yes_right, truth_yes) + share(no_right, truth_no)) / 2


def cell(truth: str, said: str | None) -> str:
    """The cell of the confusion matrix that an answer stands in, "yes" being positive; None is a wrong answer."""
    right = said == truth
    return {("yes", True): "tp", ("yes", False): "fn", ("no", True): "tn", ("no", False): "fp"}[truth, right]


def verdict_of(truth: str, answer: str, question: str, officially: str | None, stem: str = "") -> Verdict:
    """The verdict on an answer that counts as one of ``<stem>tp``, ``<stem>fp``, ``<stem>tn`` and ``<stem>fn``.

    It is read plainly, and is an error where it says neither; what the official rule reads (None: wrong) counts as
    ``official_<stem>...`` in any case.
    """
    official = {f"official_{stem}{cell(truth, officially)}": 1.0}
    said = read_yes_no(answer, question)
    if said is None:
        return Verdict(official, error=UNREADABLE, details={"read": None})
    return Verdict({f"{stem}{cell(truth, said)}": 1.0, **official}, details={"read": said})


def of_cells(stem: str, figure: str) -> Callable[[Sums], Array]:
    """A figure of the counts ``<stem>tp``, ``<stem>fp``, ``<stem>tn`` and ``<stem>fn``, as a metric's ``compute``.

    ``figure``: f1, accuracy, precision, recall (the true positive rate), specificity (the true negative rate),
    harmonic_mean of these two rates, yes_ratio or balanced_accuracy.
    """

    def of(sums: Sums) -> Array:
        tp, fp, tn, fn = (sums[f"{stem}{name}"] for name in ("tp", "fp", "tn", "fn"))
        asked = tp + fp + tn + fn
        recall, specificity = share(tp, tp + fn), share(tn, tn + fp)
        return {
            "f1": lambda: share(2 * tp, 2 * tp + fp + fn),
            "accuracy": lambda: share(tp + tn, asked),
            "precision": lambda: share(tp, tp + fp),
            "recall": lambda: recall,
            "specificity": lambda: specificity,
            "harmonic_mean": lambda: share(2 * recall * specificity, recall + specificity) / 100,
            YES_RATIO: lambda: share(tp + fp, asked),
            BALANCED: lambda: balanced_accuracy(tp, tp + fn, tn, tn + fp),
        }[figure]()

    return of
