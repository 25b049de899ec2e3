"""What only a world with known truth can show: whether what is hallucinated is what is usual in such a place."""

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
    typical, hallucinated = counts.sum(axis=0)
    if hallucinated == 0:
        return Share(np.nan, np.nan, np.nan, 0)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES) @ counts
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = np.nanpercentile(100 * draws[:, 0] / draws[:, 1], [2.5, 97.5])
    return Share(float(100 * typical / hallucinated), float(low), float(high), int(hallucinated))


def _counts(answer: str, row: Mapping[str, Any]) -> tuple[int, int]:
    absent = [name for name in mentions(answer) if name not in row["objects"]]
    return sum(is_typical(row["place"], name) for name in absent), len(absent)
