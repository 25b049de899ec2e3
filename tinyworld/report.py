"""What only a world with known truth can tell: are hallucinations the usual ones, CHAIR_i at a coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinyworld.language import mentions
from tinyworld.scenes import is_typical

RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """A percentage with a 95 % bootstrap interval over scenes; NaN where nothing was hallucinated."""

    value: float
    low: float
    high: float
    hallucinated: int


def typical_share(answers: Mapping[str, str], truth: Sequence[Mapping[str, Any]], seed: int = 0) -> Share:
    """Share of the hallucinated mentions that are typical of the scene.

    Args:
        answers: text by sample id.
        truth: rows of truth.jsonl of a captioning benchmark; rows without an answer are left out.
    """
    counts = np.array([_counts(answers[row["id"]], row) for row in truth if row["id"] in answers], dtype=float)
    counts = counts.reshape(-1, 2)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES) @ counts
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanpercentile(100 * draws[:, 0] / draws[:, 1], [2.5, 97.5])
        typical, hallucinated = counts.sum(axis=0)
        return Share(float(100 * typical / hallucinated), float(low), float(high), int(hallucinated))


def _counts(answer: str, row: Mapping[str, Any]) -> tuple[int, int]:
    absent = [name for name in mentions(answer) if name not in row["objects"]]
    return sum(is_typical(row["place"], name) for name in absent), len(absent)


def chair_and_coverage(answers: Mapping[str, str], truth: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """(CHAIR_i, coverage, share of answers that hallucinate) in percent over unique mentions."""
    absent = named = found = there = wrong = answered = 0
    for row in (row for row in truth if row["id"] in answers):
        said = mentions(answers[row["id"]])
        false = [name for name in said if name not in row["objects"]]
        absent, named = absent + len(false), named + len(said)
        found, there = found + len(said) - len(false), there + len(row["objects"])
        wrong, answered = wrong + bool(false), answered + 1
    return 100 * absent / max(named, 1), 100 * found / max(there, 1), 100 * wrong / max(answered, 1)


def chair_at_coverage(curve: Sequence[tuple[float, float]], coverage: float) -> float:
    """CHAIR_i where a model's curve of (coverage, CHAIR_i) points meets ``coverage``, by linear interpolation.

    The points are greedy answers at EOS biases such as -1.5, 0 and 1.5. Raises ValueError beyond the curve's ends.
    """
    points = sorted(curve)
    if not points[0][0] <= coverage <= points[-1][0]:
        raise ValueError(f"coverage {coverage:.1f} is outside the curve, {points[0][0]:.1f} to {points[-1][0]:.1f}")
    return float(np.interp(coverage, [x for x, _ in points], [y for _, y in points]))
