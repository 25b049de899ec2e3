"""Answers that need no model ("No" to everything) beside the rows of a table: a figure is read beside what it buys."""

from __future__ import annotations

import math
from collections.abc import Sequence

from leaderboards.rows import Table
from leaderboards.text import number

NO_MODEL = "no model"


def trivial_label(label: str) -> str:
    """How tables call a trivial answer: it can be taken for no method."""
    return f"{label} ({NO_MODEL})"


def trivial_rows(table: Table) -> list[tuple[str, list[str]]]:
    """Label and headline figures of each trivial answer; a dash where it has none (captions).

    None where no headline figure is of what they answer.
    """
    names = [metric.name for metric in table.headline]
    return [
        (trivial_label(label), [number(figures.get(m.name, math.nan), m) for m in table.headline])
        for label, figures in table.trivial.items()
        if any(math.isfinite(figures.get(name, math.nan)) for name in names)
    ]


def trivial_labels(tables: Sequence[Table]) -> list[str]:
    """The labels of all of these, each once."""
    return list(dict.fromkeys(label for table in tables for label, _ in trivial_rows(table)))
