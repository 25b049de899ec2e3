"""What a figure's or a difference's 95 % interval is made of, as text: the samples' part and the training seeds'."""

from __future__ import annotations

import math

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards.rows import Cell
from leaderboards.text import number

EXPLAINED = (
    "± the half-widths of the 95 % interval from samples (images whole) and, where a row has several, from seeds"
)


def half_widths(of: Cell | Difference, metric: Metric) -> dict[str, str]:
    """By "samples" and "seeds" the half-widths from either, those that are known: {"samples": "1.2"}."""
    halves = {"samples": of.samples, "seeds": of.seeds}
    return {name: number(half, metric) for name, half in halves.items() if math.isfinite(half)}


def short(of: Cell | Difference, metric: Metric) -> list[str]:
    """Those that are known, samples first: "±1.2", "±0.8"."""
    return [f"±{half}" for half in half_widths(of, metric).values()]


def named(of: Cell | Difference, metric: Metric) -> list[str]:
    """The same with what they are from: "samples ± 1.2"."""
    return [f"{name} ± {half}" for name, half in half_widths(of, metric).items()]
