"""Differences with their intervals: as the rows of a forest, and as the line inside a table cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboards.charts.marks import dot, marks
from leaderboards.charts.svg import (
    BOTTOM,
    SMALL,
    Scale,
    columns_for,
    escape,
    extent,
    figure,
    foot,
    read_aloud,
    row_group,
    text_at,
    text_width,
)

WIDE = 500
"""Pixels from which a chart has room for figures beside its marks."""


@dataclass(frozen=True)
class Estimate:
    """A row of a forest.

    Args:
        label: what stands beside it.
        value, low, high: a difference with its interval.
        colour: number of the colour of its method.
        text: its figures; ``more``: what stands below them.
        note: a tooltip.
        name: the method that it belongs to, where that is not ``label``.
        samples: the half-width that is due to the samples alone, drawn within the interval; NaN for none.
        seeds: the difference of every training seed, a dot each.
    """

    label: str
    value: float
    low: float
    high: float
    colour: int = 0
    text: str = ""
    note: str = ""
    more: str = ""
    name: str = ""
    samples: float = math.nan
    seeds: Sequence[float] = ()


def forest(rows: Sequence[Estimate], title: str, x: str, *, width: int = 340) -> Markup:
    """Differences with their intervals around 0, each with its figures: beside it, or above it in a narrow chart."""
    column = columns_for([row.label for row in rows], [text for row in rows for text in (row.text, row.more)], width)
    narrow = column.stacked or width < WIDE
    step, top, more = (54 if narrow else 36), 6, any(row.more for row in rows)
    step -= 0 if more else 8
    ends = [v for row in rows for v in (row.value, row.low, row.high, *row.seeds)]
    across = Scale(*extent(ends, keep=(0.0,)), *((14, width - 14) if narrow else (column.left, column.right)))
    bottom = top + step * max(1, len(rows))
    drawn = [foot(across, x, top - 2, bottom, grid=False, zero=not narrow)]
    for i, row in enumerate(rows):
        words = _above(row, width) if narrow else _beside(row, column.left, width, step - 16)
        zero = [_zero(across, step - 26, step)] if narrow else []  # not through the figures above the mark
        marked = _estimate(row, across, step - 16) if math.isfinite(row.value) else ""
        drawn.append(row_group(row.name or row.label, top + step * i, step, [*words, *zero, marked], marks(row.colour)))
    aloud = read_aloud(x, [f"{row.label} {row.text} {row.more}" for row in rows])
    return figure(title, aloud, drawn, (width, bottom + BOTTOM))


def _above(row: Estimate, width: int) -> list[str]:
    """A row's name and figures on a line, what they are made of below."""
    room = width - 12 - text_width(row.text, SMALL)
    return [
        text_at(4, 12, row.label, "start", "label", room - 8),
        text_at(width - 2, 12, row.text, "end", "figures"),
        text_at(width - 2, 24, row.more, "end", "parts", width - 8),
    ]


def _zero(across: Scale, top: float, bottom: float) -> str:
    """The line of no difference within a row."""
    x = across(0)
    return f'<line class="zero" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'


def _beside(row: Estimate, left: float, width: int, middle: float) -> list[str]:
    """A row's name before its mark and its figures after it."""
    return [
        text_at(left - 8, middle + 4, row.label, "end", "label", left - 8),
        text_at(width - 2, middle + 2, row.text, "end", "figures"),
        text_at(width - 2, middle + 14, row.more, "end", "parts"),
    ]


def _estimate(estimate: Estimate, across: Scale, y: float) -> str:
    drawn = []
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        ends = across(estimate.low), across(estimate.high)
        if math.isfinite(estimate.samples):
            start, stop = (across(estimate.value + side * estimate.samples) for side in (-1, 1))
            start, stop = max(start, across.start), min(stop, across.stop)
            drawn.append(
                f'<rect class="samples" x="{start:.1f}" width="{stop - start:.1f}" y="{y - 3.5:.1f}" height="7"/>'
            )
        drawn.append(f'<line class="whisker" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}"/>')
    drawn += [
        f'<circle class="seed" cx="{across(each):.1f}" cy="{y + 9}" r="2.4"/>'
        for each in estimate.seeds
        if len(estimate.seeds) > 1 and math.isfinite(each)
    ]
    drawn.append(dot(across(estimate.value), y, 4.5, estimate.colour))
    return f"<g><title>{escape(estimate.note)}</title>{''.join(drawn)}</g>"


def mini(value: float, low: float, high: float, bounds: tuple[float, float], colour: int) -> Markup:
    """An interval inside a table cell, on the scale of its column, with a tick that the page puts at the reference."""
    if not all(map(math.isfinite, (value, low, high))):
        return Markup("")
    across = Scale(*bounds, 3, 81)
    return Markup(
        f'<svg class="mini {marks(colour)}" viewBox="0 0 84 10" width="84" height="10" aria-hidden="true" '
        f'data-x="{across(value):.1f}"><line class="ref" x1="0" x2="0" y1="0" y2="10" visibility="hidden"/>'
        f'<line class="whisker" x1="{across(low):.1f}" x2="{across(high):.1f}" y1="5" y2="5"/>'
        f"{dot(across(value), 5, 3, colour)}</svg>"
    )
