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
    text_at,
    text_width,
)


@dataclass(frozen=True)
class Bar:
    """One bar of a group.

    Args:
        value: its length; it is left out where that is not finite.
        kind: its class: "c0" .. "c8", or "tone0" and "tone1", which are no method's colours.
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
        if column.stacked:
            drawn.append(text_at(8, y + 12, label, "start", "label", width - 8))
            y += 17
        else:
            drawn.append(text_at(column.left - 8, y + 6 * len(group) + 3, label, "end", "label", column.left - 8))
        for bar in group:
            drawn.append(_bar(bar, across, y))
            y += 12
        y += 8
    height = math.ceil(y) + BOTTOM - 4
    words = read_aloud(x, [f"{label} {bar.note or bar.text}" for label, group in shown for bar in group])
    elements = [*_legend(legend), *foot(across, x, top - 2, height), *drawn]
    return figure(title, words, elements, (width, height))


def _bar(bar: Bar, across: Scale, y: float) -> str:
    drawn = [
        f'<rect class="bar {bar.kind}" x="{across.start:.1f}" width="{max(across(bar.value) - across.start, 0.5):.1f}" '
        f'y="{y:.1f}" height="10.5"><title>{escape(bar.note)}</title></rect>'
    ]
    if math.isfinite(bar.low) and math.isfinite(bar.high):
        ends = f'x1="{across(bar.low):.1f}" x2="{across(bar.high):.1f}"'
        drawn.append(f'<line class="error" {ends} y1="{y + 5.2:.1f}" y2="{y + 5.2:.1f}"/>')
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
