"""Differences with their intervals: as the rows of a forest, and as the line inside a table cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboards.charts.svg import (
    BOTTOM,
    Scale,
    columns_for,
    dot,
    escape,
    extent,
    figure,
    foot,
    marks,
    read_aloud,
    text_at,
)


@dataclass(frozen=True)
class Estimate:
    """A row of a forest: a difference with its interval, its figures as text, and a tooltip."""

    label: str
    value: float
    low: float
    high: float
    colour: int = 0
    text: str = ""
    note: str = ""


def forest(rows: Sequence[Estimate], title: str, x: str, *, width: int = 340) -> Markup:
    """Differences with their intervals around 0, each with its figures beside it and its name before or above it."""
    column = columns_for([row.label for row in rows], [row.text for row in rows], width)
    step = 36 if column.stacked else 24
    top = 8 if column.stacked else 12
    height = top + BOTTOM + step * max(1, len(rows))
    low, high = extent([v for row in rows for v in (row.value, row.low, row.high)], keep=(0.0,))
    across = Scale(low, high, column.left, column.right)
    drawn = foot(across, x, top - 4, height, grid=False)
    drawn.append(
        f'<line class="zero" x1="{across(0):.1f}" x2="{across(0):.1f}" y1="{top - 4}" y2="{height - BOTTOM}"/>'
    )
    for i, row in enumerate(rows):
        y = top + step * i + (26 if column.stacked else 12)
        if column.stacked:
            drawn.append(text_at(8, y - 11, row.label, "start", "label", width - 8))
        else:
            drawn.append(text_at(column.left - 8, y + 4, row.label, "end", "label", column.left - 8))
        if math.isfinite(row.value):
            drawn.append(_estimate(row, across, y, width))
    words = read_aloud(x, [f"{row.label} {row.text}" for row in rows])
    return figure(title, words, drawn, (width, height))


def _estimate(row: Estimate, across: Scale, y: float, width: int) -> str:
    whisker = (
        f'<line class="whisker" x1="{across(row.low):.1f}" x2="{across(row.high):.1f}" y1="{y}" y2="{y}"/>'
        if math.isfinite(row.low) and math.isfinite(row.high)
        else ""
    )
    return (
        f'<g class="{marks(row.colour)}"><title>{escape(row.note)}</title>{whisker}'
        f"{dot(across(row.value), y, 4.5, row.colour)}</g>{text_at(width - 2, y + 3.5, row.text, 'end', 'figures')}"
    )


def mini(value: float, low: float, high: float, bounds: tuple[float, float], mark: float, colour: int) -> Markup:
    """An interval inside a table cell, on the scale of its column; ``mark`` is where the reference stands."""
    if not all(map(math.isfinite, (value, low, high))):
        return Markup("")
    across = Scale(*bounds, 3, 81)
    tick = (
        f'<line class="ref" x1="{across(mark):.1f}" x2="{across(mark):.1f}" y1="0" y2="10"/>'
        if math.isfinite(mark)
        else ""
    )
    return Markup(
        f'<svg class="mini {marks(colour)}" viewBox="0 0 84 10" width="84" height="10" aria-hidden="true">{tick}'
        f'<line class="whisker" x1="{across(low):.1f}" x2="{across(high):.1f}" y1="5" y2="5"/>'
        f"{dot(across(value), 5, 3, colour)}</svg>"
    )
