"""What only a world with known truth can show: whether what is hallucinated is what is usual in such a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.stats import Array, bootstrap_interval
from tinyworld.language import mentions
from tinyworld.scenes import is_typical

RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """A percentage with its 95 % interval over scenes; NaN where nothing was hallucinated, the interval also for one
    scene."""

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
    rows = [row for row in truth if row["id"] in answers]
    counts = np.array([_counts(answers[row["id"]], row) for row in rows], dtype=float).reshape(-1, 2)
    typical, hallucinated = counts.sum(axis=0)
    if hallucinated == 0:
        return Share(np.nan, np.nan, np.nan, 0)
    scenes = [row["id"] for row in rows]
    low, high = bootstrap_interval(_share, counts, scenes, percent=[True], resamples=RESAMPLES, seed=seed)
    return Share(float(100 * typical / hallucinated), float(low[0]), float(high[0]), int(hallucinated))


def _share(sums: Array) -> Array:
    """Of [..., (typical, hallucinated)] the percentage [..., 1]; NaN where nothing was hallucinated."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(100 * sums[..., :1] / sums[..., 1:])


def _counts(answer: str, row: Mapping[str, Any]) -> tuple[int, int]:
    absent = [name for name in mentions(answer) if name not in row["objects"]]
    return sum(is_typical(row["place"], name) for name in absent), len(absent)
