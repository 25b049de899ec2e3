"""Groups of bars across, each under or beside its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboards.charts.svg import (
    BOTTOM,
    SMALL,
    TOP,
    Scale,
    columns_for,
    escape,
    figure,
    foot,
    read_aloud,
    row_group,
    text_at,
    text_width,
)


@dataclass(frozen=True)
class Bar:
    """One bar of a group.

    Args:
        value: its length; it is left out where that is not finite.
        kind: its class: a method's ("c0" .. "c8"), a tercile's ("easy"), or "tone0" and "tone1", which are neither.
        text: its figures, written beside it.
        note: shown when the pointer rests on it.
        low, high: an interval, drawn as a whisker where it is finite.
    """

    value: float
    kind: str
    text: str = ""
    note: str = ""
    low: float = math.nan
    high: float = math.nan


def bars(
    groups: Sequence[tuple[str, Sequence[Bar]]], title: str, x: str,
    *, legend: Sequence[tuple[str, str]] = (), width: int = 340,
) -> Markup:  # fmt: skip
    """Groups of bars across, each under or beside its name; ``legend``: (class, name) of the kinds of bars."""
    shown = [(label, [bar for bar in group if math.isfinite(bar.value)]) for label, group in groups]
    column = columns_for([label for label, _ in shown], [bar.text for _, group in shown for bar in group], width)
    ends = [v for _, group in shown for bar in group for v in (bar.value, bar.high) if math.isfinite(v)]
    across = Scale(0, max(ends, default=1.0) * 1.02 or 1, column.left, column.right)
    top, drawn = (TOP if legend else 8), []
    y = float(top)
    for label, group in shown:
        head, height = 17 * column.stacked, 13 * len(group) + 8 + 17 * column.stacked
        place = (
            (8, 12, "start", width - 8)
            if column.stacked
            else (column.left - 8, 6.5 * len(group) + 3, "end", column.left - 8)
        )
        name = text_at(place[0], place[1], label, place[2], "label", place[3])
        drawn.append(
            row_group(label, y, height, [name, *(_bar(bar, across, head + 13 * i) for i, bar in enumerate(group))])
        )
        y += height
    words = read_aloud(x, [f"{label} {bar.note or bar.text}" for label, group in shown for bar in group])
    elements = [*_legend(legend), foot(across, x, top - 2, y), *drawn]
    return figure(title, words, elements, (width, math.ceil(y) + BOTTOM))


def _bar(bar: Bar, across: Scale, y: float) -> str:
    drawn = [
        f'<rect class="bar {bar.kind}" x="{across.start:.1f}" width="{max(across(bar.value) - across.start, 0.5):.1f}" '
        f'y="{y:.1f}" height="11"><title>{escape(bar.note)}</title></rect>'
    ]
    if math.isfinite(bar.low) and math.isfinite(bar.high):
        ends = f'x1="{across(bar.low):.1f}" x2="{across(bar.high):.1f}"'
        drawn.append(f'<line class="error" {ends} y1="{y + 5.5:.1f}" y2="{y + 5.5:.1f}"/>')
    drawn.append(text_at(across.stop + 8, y + 9, bar.text, "start", "figures"))
    return "".join(drawn)


def _legend(kinds: Sequence[tuple[str, str]]) -> list[str]:
    """Squares with their names, in a line at the top."""
    drawn, x = [], 8.0
    for kind, name in kinds:
        drawn.append(f'<rect class="bar {kind}" x="{x:.1f}" y="3" width="9" height="9"/>')
        drawn.append(text_at(x + 14, 11, name, "start"))
        x += 14 + text_width(name, SMALL) + 14
    return drawn
