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


def parts(of: Cell | Difference, metric: Metric) -> list[str]:
    """The half-widths from the samples and from the training seeds, those that are known: "±1.2", "±0.8"."""
    return [f"±{number(half, metric)}" for half in (of.samples, of.seeds) if math.isfinite(half)]
