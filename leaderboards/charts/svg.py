"""Elements of small inline SVG charts, drawn on the server: readable without scripts, in print, in light and dark.

Colours are classes (``c0``, ``c1``, ...) that the page's style sheet defines, so the theme reaches into the charts.
Room for text is made by what it says, since names of methods can be long; what does not fit is cut, with all of it in a
tooltip. What belongs to one method is a group with ``data-series``, so that the page can filter, hide and mark it.
"""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from harness.util.visible import stripped

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 34
LABEL, SMALL = 12.5, 11.0
"""Sizes of text in the style sheet: names of rows, and figures."""


def escape(text: str) -> str:
    """``text`` as it stands in an element or an attribute, without what cannot be seen, which XML does not have."""
    return html.escape(stripped(text))


def ticks(low: float, high: float, about: int = 4, least: int = 3) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within [low, high], no fewer than ``least``."""
    if not high > low:
        return [low]
    values: list[float] = []
    for count in range(about, max(about, 3 * least) + 1):
        rough = (high - low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        first = math.ceil(low / step - 1e-9)
        values = [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
        if len(values) >= least:
            break
    return values


def tick_texts(values: Sequence[float]) -> list[str]:
    """Ticks with as many decimals as their step needs, so that no two read the same."""
    step = min((b - a for a, b in pairwise(values)), default=0.0)
    if not 1e-4 <= step <= 1e6:
        return [short(v) for v in values]
    decimals = max(0, -math.floor(math.log10(step * 1.001)))
    return [f"{v + 0.0:,.{decimals}f}" for v in (round(v, decimals) for v in values)]


def short(value: float) -> str:
    """A tick or tooltip figure with three significant digits."""
    text = f"{value:.3g}"
    return text if "e" not in text else f"{value:,.0f}" if abs(value) >= 1 else text


@dataclass(frozen=True)
class Scale:
    """From data to pixels, linear."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        width = self.high - self.low
        return self.start + (value - self.low) / (width or 1) * (self.stop - self.start)


def extent(values: Sequence[float], pad: float = 0.06, keep: Sequence[float] = ()) -> tuple[float, float]:
    """The range of the finite ``values`` and ``keep``, a little wider; (0, 1) of nothing."""
    finite = [v for v in (*values, *keep) if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * pad or max(abs(high) * 0.1, 0.5)
    return low - room, high + room


@dataclass(frozen=True)
class Columns:
    """Where names end, marks stand and figures begin; ``stacked``: names stand above their marks."""

    left: float
    right: float
    stacked: bool


def text_width(text: str, size: float) -> float:
    """About how many pixels a text takes; rather too many than too few."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return size * (0.6 * (len(text) - wide) + wide)


def cut(text: str, room: float, size: float) -> str:
    """``text``, or as much of its beginning as fits into ``room`` with an ellipsis."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(text, size) + size > room:
        text = text[:-1]
    return text.rstrip() + "…"


def columns_for(labels: Sequence[str], texts: Sequence[str], width: int) -> Columns:
    """Names beside the marks where that leaves these three tenths of the width, else above them."""
    names = max((text_width(label, LABEL) for label in labels), default=0) + 14
    figures = max((text_width(text, SMALL) for text in texts), default=0)
    right = width - (figures + 8 if figures else RIGHT)
    stacked = right - names < 0.3 * width
    return Columns(14 if stacked else names, right, stacked)


def read_aloud(x: str, rows: Sequence[str]) -> str:
    """A chart's rows in words, for those who cannot see it."""
    return f"{x}: {'; '.join(row.strip() for row in rows)}" if x else "; ".join(row.strip() for row in rows)


def fitting(draw: Callable[[int], Markup]) -> Markup:
    """A chart for a wide and for a narrow window, drawn twice: the style sheet shows the one whose text can be read."""
    return Markup(f'<div class="roomy">{draw(700)}</div><div class="slim">{draw(340)}</div>')


def row_group(name: str, y: float, height: float, drawn: Sequence[str], kind: str = "") -> str:
    """One row of a chart of rows, drawn from its own top: the page can hide it and move up those below."""
    return (
        f'<g class="row {kind}" data-series="{escape(name)}" data-height="{height:g}" transform="translate(0 {y:.1f})">'
        f"{''.join(drawn)}</g>"
    )


def foot(across: Scale, x: str, top: float, bottom: float, *, grid: bool = True, zero: bool = True) -> str:
    """The axis below rows, ``bottom`` pixels down: ticks, name, and lines up to ``top`` where there is a ``grid``, else
    one at 0 (``zero``: unless the rows draw it themselves)."""
    drawn, up = [], top - bottom
    values = ticks(across.low, across.high, 3, least=2)
    for tick, text in zip(values, tick_texts(values), strict=True):
        at = across(tick)
        if grid:
            drawn.append(upright("grid", at, up))
        drawn.append(text_at(at, 14, text, "middle"))
    drawn.append(text_at((across.start + across.stop) / 2, BOTTOM - 4, x, "middle", "axis"))
    if zero and not grid and across.low <= 0 <= across.high:
        drawn.append(upright("zero", across(0), up))
    return f'<g class="foot" transform="translate(0 {bottom:.1f})">{"".join(drawn)}</g>'


def upright(kind: str, x: float, up: float) -> str:
    """A line from an axis up over the rows above it."""
    return f'<line class="{kind} upright" x1="{x:.1f}" x2="{x:.1f}" y1="{up:.1f}" y2="0"/>'


def text_at(x: float, y: float, text: str, anchor: str, kind: str = "tick", room: float = math.inf) -> str:
    """A text, cut to ``room`` pixels; then all of it is in the tooltip."""
    size = LABEL if kind == "label" else SMALL
    shown = cut(text, room, size)
    whole = f"<title>{escape(text)}</title>" if shown != text else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}{whole}</text>'
        if text
        else ""
    )


def figure(title: str, description: str, drawn: Sequence[str], size: tuple[float, float], *, about: str = "") -> Markup:
    """A chart with its title; ``about``: attributes by which the page reads values off it."""
    head = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    name = escape(f"{title}: {description}" if title else description)
    return Markup(
        f'<figure class="chart">{head}<svg viewBox="0 0 {size[0]:g} {size[1]:g}" role="img" aria-label="{name}"'
        f"{about and ' ' + about}>{''.join(drawn)}</svg></figure>"
    )
