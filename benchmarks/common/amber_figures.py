"""AMBER's figures: sums of counts to CHAIR, Cover, Hal, Cog, and accuracy to F1, plainly and as officially printed.

Source: AMBER `inference.py` at 534babf. Lines tagged REPRODUCE keep what published numbers depend on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.yes_no import read_yes_no
from benchmarks.common.yes_no_figures import BALANCED, UNREAD, YES_RATIO, balanced_accuracy, share
from harness.protocols.benchmark import Metric, Sums, Verdict, ratio

Array = NDArray[np.float64]

# Each block of yes/no figures pools some kinds; "" is all of them.
BLOCKS = {
    "": ("existence", "state", "number", "action", "relation"),
    "existence": ("existence",),
    "attribute": ("state", "number", "action"),
    "state": ("state",),
    "number": ("number",),
    "action": ("action",),
    "relation": ("relation",),
}
COUNTER_START = 0.001  # metrics.txt: every *_num starts here


def yes_no_verdict(kind: str, truth_is_no: bool, answer: str, question: str) -> Verdict:
    """Counts of one answer, read as every benchmark reads yes and no, and as officially; "No" is the positive class.

    An answer that says neither is wrong, as it is officially (leaving it out would let silence buy accuracy), and is
    counted as ``unread``.
    """
    truth, said = "No" if truth_is_no else "Yes", read_yes_no(answer, question)
    read = said.capitalize() if said else None
    values = {
        f"{kind}_asked": 1.0,
        f"{kind}_truth_no": float(truth_is_no),
        f"{kind}_said_yes": float(read == "Yes"),
        f"{kind}_unread": float(read is None),
    }
    # REPRODUCE in official_*: only exactly "Yes" and "No" are read.
    for prefix, word in (("", read), ("official_", answer)):
        values[f"{prefix}{kind}_correct"] = float(word == truth)
        values[f"{prefix}{kind}_said_no"] = float(word == "No")
        values[f"{prefix}{kind}_hit"] = float(word == "No" and truth_is_no)
    return Verdict(values, details={"read": read})


def round1(value: Array | float) -> Array:
    """Python's ``round(value, 1)`` of every element, as in the official code; numpy's differs at ties such as 0.15."""
    exact = np.asarray(value, dtype=float)
    tenths = 10 * exact
    rounded = np.asarray(np.rint(tenths) / 10)
    tie = np.abs(tenths - np.floor(tenths) - 0.5) < 1e-6
    rounded[tie] = [round(x, 1) for x in exact[tie].tolist()]
    return rounded


def _pooled(sums: Sums, kinds: Sequence[str], counter: str, prefix: str = "") -> Array:
    return np.asarray(sum(sums[f"{prefix}{kind}_{counter}"] for kind in kinds))


def _f1(precision: Array, recall: Array, block: str) -> Array:
    """F1 in percent; REPRODUCE: from precision and recall rounded to 0.1 %, with a small number below."""
    p, r = round1(precision) / 100, round1(recall) / 100
    return np.asarray(100 * 2 * p * r / (p + r + (0.001 if block == "existence" else 0.0001)))


def _figures(sums: Sums, block: str) -> dict[str, Array]:
    """The plain figures of a block; precision is 0 where nobody said "No" (as official).

    Of verdicts by an earlier parser, which did not count what said yes, the yes ratio and the unread share are NaN.
    """
    kinds = BLOCKS[block]
    asked, truth_no = _pooled(sums, kinds, "asked"), _pooled(sums, kinds, "truth_no")
    correct, said_no, hit = (_pooled(sums, kinds, counter) for counter in ("correct", "said_no", "hit"))
    recall = share(hit, truth_no)
    precision = np.where((asked > 0) & (said_no == 0), 0.0, share(hit, said_no))
    f1 = _f1(precision, recall, block)
    said_yes, unread = (_pooled(sums, kinds, counter) for counter in ("said_yes", "unread"))
    counted = said_yes + said_no + unread == asked
    return {
        "accuracy": share(correct, asked),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        BALANCED: balanced_accuracy(correct - hit, asked - truth_no, hit, truth_no),
        YES_RATIO: np.where(counted, share(said_yes, said_yes + said_no), np.nan),
        UNREAD: np.where(counted, share(unread, asked), np.nan),
    }


def _official_figures(sums: Sums, block: str) -> dict[str, Array]:
    """The same as the official scorer prints it.

    REPRODUCE: every denominator starts at 0.001 (the attribute block pools three), every figure is rounded to 0.1.
    """
    kinds = BLOCKS[block]
    start = COUNTER_START * (len(kinds) if block == "attribute" else 1)
    asked, truth_no = _pooled(sums, kinds, "asked"), _pooled(sums, kinds, "truth_no")
    correct, said_no, hit = (_pooled(sums, kinds, counter, "official_") for counter in ("correct", "said_no", "hit"))
    out = {
        "accuracy": round1(100 * (correct / (asked + start))),
        "precision": round1(100 * (hit / (said_no + start))),
        "recall": round1(100 * (hit / (truth_no + start))),
    }
    out["f1"] = round1(_f1(out["precision"], out["recall"], block))
    return {name: np.where(asked > 0, value, np.nan) for name, value in out.items()}


OFFICIAL = ("accuracy", "precision", "recall", "f1")
PLAIN: dict[str, bool | None] = {**dict.fromkeys(OFFICIAL, True), BALANCED: True, YES_RATIO: None, UNREAD: None}
"""The figures of a block, and whether more is better."""


def yes_no_metrics() -> list[Metric]:
    """The figures of every block, plain ones first."""
    metrics = []
    for prefix, figures, names in (("", _figures, tuple(PLAIN)), ("official_", _official_figures, OFFICIAL)):
        for block in BLOCKS:
            stem = prefix + (f"{block}_" if block else "")
            metrics += [Metric(stem + name, _one_of(figures, block, name), PLAIN[name]) for name in names]
    return metrics


def _one_of(figures: Callable[[Sums, str], dict[str, Array]], block: str, figure: str) -> Callable[[Sums], Array]:
    return lambda sums: figures(sums, block)[figure]


CAPTION_FIGURES = {
    "chair": ("hallucinated", "mentions", False),
    "cover": ("covered", "truths", True),
    "hal": ("hallucinating", "captions", False),
    "cog": ("imagined", "imaginable", False),
}


def _official_caption(figure: str) -> Callable[[Sums], Array]:
    above, below, _ = CAPTION_FIGURES[figure]

    def of(sums: Sums) -> Array:
        if figure == "hal":  # REPRODUCE: 100 - share of clean captions, so the 0.001 works the other way
            clean = sums["captions"] - sums["hallucinating"]
            value = 100 - 100 * (clean / (sums["captions"] + COUNTER_START))
        else:
            value = 100 * (sums[above] / (sums[below] + COUNTER_START))
        return np.where(sums["captions"] > 0, round1(value), np.nan)

    return of


def caption_metrics() -> list[Metric]:
    """chair, cover, hal and cog over the captions, plain ones first."""
    plain = [Metric(name, ratio(above, below), better) for name, (above, below, better) in CAPTION_FIGURES.items()]
    return plain + [Metric(f"official_{n}", _official_caption(n), up) for n, (_, _, up) in CAPTION_FIGURES.items()]


def score_metrics() -> list[Metric]:
    """AMBER Score = ((100 - CHAIR) + F1) / 2, F1 over all yes/no questions (the paper; not in the code)."""
    chair, official_chair = ratio("hallucinated", "mentions"), _official_caption("chair")
    return [
        Metric("amber_score", lambda sums: (100 - chair(sums) + _figures(sums, "")["f1"]) / 2, True),
        Metric(
            "official_amber_score",
            lambda sums: (100 - official_chair(sums) + _official_figures(sums, "")["f1"]) / 2,
            True,
        ),
    ]


def length_metrics() -> list[Metric]:
    """Mentions and words per caption."""
    return [Metric(name, ratio(name, "captions", scale=1.0), None, unit="per answer") for name in ("mentions", "words")]
