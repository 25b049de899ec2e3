"""Small inline SVG charts, drawn on the server: readable without scripts, in print, and in light and dark.

Colours are classes (``c0``, ``c1``, ...) that the page's style sheet defines, so the theme reaches into the charts.
Room for text is made by what it says, since names of methods can be long; what does not fit is cut, with all of it in a
tooltip.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from markupsafe import Markup

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 34
LABEL, SMALL = 12.0, 10.5
"""Sizes of text in the style sheet: names of rows, and figures."""

HUES, GREY, ROUNDS = 8, 8, 3
"""Colours that can be told apart, the number of the neutral one, and how many marks each colour is used with."""


def colour(place: int) -> int:
    """The colour number of the method in that place: its hue plus ``HUES + 1`` for every time the hues were used up."""
    return place % HUES + (HUES + 1) * (place // HUES % ROUNDS)


def marks(number: int) -> str:
    """The classes of a colour number: ``c0`` .. ``c8`` its colour, ``r1`` and ``r2`` another dash and point shape."""
    turn = number // (HUES + 1)
    return f"c{number % (HUES + 1)}" + (f" r{turn}" if turn else "")


@dataclass(frozen=True)
class Series:
    """One line or cloud of points.

    Args:
        label: what it is; shown when the pointer rests on it.
        points: (x, y); those that are not finite are left out.
        colour: number of the colour class.
        line: whether the points are joined.
        dots: whether each point is marked.
        dashed: a dashed line.
        spans: (low, high) in y of every point, drawn as a whisker; empty for none.
        notes: a text for every dot instead of its figures; empty for none.
    """

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    line: bool = True
    dots: bool = False
    dashed: bool = False
    spans: Sequence[tuple[float, float]] = ()
    notes: Sequence[str] = ()


def ticks(low: float, high: float, about: int = 4, least: int = 3) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within [low, high], no fewer than ``least``."""
    if not high > low:
        return [low]
    found: list[float] = []
    for count in range(about, max(about, 3 * least) + 1):
        rough = (high - low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        first = math.ceil(low / step - 1e-9)
        found = [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]
        if len(found) >= least:
            break
    return found


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


def chart(
    series: Sequence[Series],
    title: str,
    x: str,
    y: str,
    *,
    size: tuple[int, int] = (340, 230),
    y_range: tuple[float, float] | None = None,
    zero: bool = False,
    rug: Sequence[tuple[float, int]] = (),
) -> Markup:
    """Lines and points over two axes. ``zero`` draws the line y = 0; ``rug``: (x, colour) ticks at the foot."""
    width, height = size
    shown = [[p for p in s.points if all(map(math.isfinite, p))] for s in series]
    xs = [p[0] for points in shown for p in points]
    ys = [p[1] for points in shown for p in points] + [v for s in series for span in s.spans for v in span]
    across = Scale(*extent(xs, 0.03), LEFT, width - RIGHT)
    up = Scale(*(y_range or extent(ys, keep=(0.0,) if zero else ())), height - BOTTOM, TOP)
    parts = [*_axes(across, up, x, y, size)]
    if zero:
        parts.append(f'<line class="zero" x1="{LEFT}" x2="{width - RIGHT}" y1="{up(0):.1f}" y2="{up(0):.1f}"/>')
    for at, colour in rug:
        if across.low <= at <= across.high:
            foot = height - BOTTOM
            parts.append(
                f'<line class="rug c{colour}" x1="{across(at):.1f}" x2="{across(at):.1f}" y1="{foot}" y2="{foot - 7}"/>'
            )
    for s in series:
        parts.append(_series(s, across, up))
    return _wrap(title, f"{y} against {x}: {', '.join(s.label for s in series)}", parts, size)


def histogram(
    bins: Sequence[tuple[float, float, float, int, str]], title: str, x: str, y: str,
    *, size: tuple[int, int] = (700, 250),
) -> Markup:  # fmt: skip
    """Bars side by side over a common axis: (from, to, height, colour, tooltip)."""
    width, height = size
    edges = [edge for each in bins for edge in each[:2]]
    across = Scale(min(edges, default=0.0), max(edges, default=1.0), LEFT, width - RIGHT)
    up = Scale(0, max((each[2] for each in bins), default=1.0) * 1.05 or 1, height - BOTTOM, TOP)
    parts = _axes(across, up, x, y, size)
    for low, high, value, colour, note in bins:
        parts.append(
            f'<rect class="bar {marks(colour)}" x="{across(low):.1f}" '
            f'width="{max(across(high) - across(low) - 1, 0.5):.1f}" y="{up(value):.1f}" '
            f'height="{max(height - BOTTOM - up(value), 0):.1f}"><title>{escape(note)}</title></rect>'
        )
    return _wrap(title, f"{y} by {x}", parts, size)


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
    column = _columns([label for label, _ in shown], [bar.text for _, group in shown for bar in group], width)
    ends = [v for _, group in shown for bar in group for v in (bar.value, bar.high) if math.isfinite(v)]
    across = Scale(0, max(ends, default=1.0) * 1.02 or 1, column.left, column.right)
    top, parts = (TOP if legend else 8), []
    y = float(top)
    for label, group in shown:
        if column.stacked:
            parts.append(_text(8, y + 12, label, "start", "label", width - 8))
            y += 17
        else:
            parts.append(_text(column.left - 8, y + 6 * len(group) + 3, label, "end", "label", column.left - 8))
        for bar in group:
            parts.append(_bar(bar, across, y))
            y += 12
        y += 8
    height = math.ceil(y) + BOTTOM - 4
    foot = _foot(across, x, top - 2, height)
    return _wrap(title, _read(x, [(f"{label} {bar.note or bar.text}") for label, group in shown for bar in group]),
                 [*_legend(legend), *foot, *parts], (width, height))  # fmt: skip


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
    column = _columns([row.label for row in rows], [row.text for row in rows], width)
    step = 36 if column.stacked else 24
    top = 8 if column.stacked else 12
    height = top + BOTTOM + step * max(1, len(rows))
    low, high = extent([v for row in rows for v in (row.value, row.low, row.high)], keep=(0.0,))
    across = Scale(low, high, column.left, column.right)
    parts = _foot(across, x, top - 4, height, grid=False)
    parts.append(
        f'<line class="zero" x1="{across(0):.1f}" x2="{across(0):.1f}" y1="{top - 4}" y2="{height - BOTTOM}"/>'
    )
    for i, row in enumerate(rows):
        y = top + step * i + (26 if column.stacked else 12)
        if column.stacked:
            parts.append(_text(8, y - 11, row.label, "start", "label", width - 8))
        else:
            parts.append(_text(column.left - 8, y + 4, row.label, "end", "label", column.left - 8))
        if math.isfinite(row.value):
            parts.append(_estimate(row, across, y, width))
    read = _read(x, [f"{row.label} {row.text}" for row in rows])
    return _wrap(title, read, parts, (width, height))


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


def _columns(labels: Sequence[str], texts: Sequence[str], width: int) -> Columns:
    """Names beside the marks where that leaves these three tenths of the width, else above them."""
    names = max((text_width(label, LABEL) for label in labels), default=0) + 14
    figures = max((text_width(text, SMALL) for text in texts), default=0)
    right = width - (figures + 8 if figures else RIGHT)
    stacked = right - names < 0.3 * width
    return Columns(14 if stacked else names, right, stacked)


def _estimate(row: Estimate, across: Scale, y: float, width: int) -> str:
    whisker = (
        f'<line class="whisker" x1="{across(row.low):.1f}" x2="{across(row.high):.1f}" y1="{y}" y2="{y}"/>'
        if math.isfinite(row.low) and math.isfinite(row.high)
        else ""
    )
    return (
        f'<g class="{marks(row.colour)}"><title>{escape(row.note)}</title>{whisker}'
        f"{_dot(across(row.value), y, 4.5, row.colour)}</g>{_text(width - 2, y + 3.5, row.text, 'end', 'figures')}"
    )


def _bar(bar: Bar, across: Scale, y: float) -> str:
    parts = [
        f'<rect class="bar {bar.kind}" x="{across.start:.1f}" width="{max(across(bar.value) - across.start, 0.5):.1f}" '
        f'y="{y:.1f}" height="10.5"><title>{escape(bar.note)}</title></rect>'
    ]
    if math.isfinite(bar.low) and math.isfinite(bar.high):
        ends = f'x1="{across(bar.low):.1f}" x2="{across(bar.high):.1f}"'
        parts.append(f'<line class="error" {ends} y1="{y + 5.2:.1f}" y2="{y + 5.2:.1f}"/>')
    parts.append(_text(across.stop + 8, y + 9, bar.text, "start", "figures"))
    return "".join(parts)


def _legend(kinds: Sequence[tuple[str, str]]) -> list[str]:
    """Squares with their names, in a line at the top."""
    parts, x = [], 8.0
    for kind, name in kinds:
        parts.append(f'<rect class="bar {kind}" x="{x:.1f}" y="3" width="9" height="9"/>')
        parts.append(_text(x + 14, 11, name, "start"))
        x += 14 + text_width(name, SMALL) + 14
    return parts


def _read(x: str, rows: Sequence[str]) -> str:
    """A chart's rows in words, for those who cannot see it."""
    return f"{x}: {'; '.join(row.strip() for row in rows)}" if x else "; ".join(row.strip() for row in rows)


def fitting(draw: Callable[[int], Markup]) -> Markup:
    """A chart for a wide and for a narrow window, drawn twice: the style sheet shows the one whose text can be read."""
    return Markup(f'<div class="roomy">{draw(700)}</div><div class="slim">{draw(340)}</div>')


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
        f"{_dot(across(value), 5, 3, colour)}</svg>"
    )


def _series(s: Series, across: Scale, up: Scale) -> str:
    kept = [i for i, p in enumerate(s.points) if all(map(math.isfinite, p))]
    pixels = [(across(s.points[i][0]), up(s.points[i][1])) for i in kept]
    parts = []
    for k, i in enumerate(kept):
        if s.spans and all(map(math.isfinite, s.spans[i])):
            low, high = s.spans[i]
            at = pixels[k][0]
            parts.append(f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}"/>')
    if s.line and len(pixels) > 1:
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in pixels)
        parts.append(f'<path class="line{" dashed" if s.dashed else ""}" d="{path}"/>')
    if s.dots or len(pixels) == 1:
        for k, i in enumerate(kept):
            note = s.notes[i] if s.notes else f"{s.label}: {short(s.points[i][0])}, {short(s.points[i][1])}"
            px, py = pixels[k]
            parts.append(_dot(px, py, 4, s.colour, note))
    return f'<g class="{marks(s.colour)}"><title>{escape(s.label)}</title>{"".join(parts)}</g>'


def _dot(x: float, y: float, r: float, colour: int, note: str = "") -> str:
    """A circle; a diamond and a triangle where the colour comes back."""
    title = f"<title>{escape(note)}</title>" if note else ""
    turn = colour // (HUES + 1)
    if not turn:
        return f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{r}">{title}</circle>'
    corners = ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)) if turn == 1 else ((0, -1.2), (1.2, 0.9), (-1.2, 0.9))
    points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners)
    return f'<polygon class="dot" points="{points}">{title}</polygon>'


def _axes(across: Scale, up: Scale, x: str, y: str, size: tuple[int, int]) -> list[str]:
    width, height = size
    parts = []
    heights = ticks(up.low, up.high)
    for tick, text in zip(heights, tick_texts(heights), strict=True):
        at = up(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(LEFT - 6, at + 3.5, text, "end"))
    places = ticks(across.low, across.high, 5)
    for tick, text in zip(places, tick_texts(places), strict=True):
        parts.append(_text(across(tick), height - BOTTOM + 13, text, "middle"))
    parts.append(_text((LEFT + width - RIGHT) / 2, height - 5, x, "middle", "axis"))
    parts.append(_text(4, 11, y, "start", "axis"))
    return parts


def _foot(across: Scale, x: str, top: float, height: int, *, grid: bool = True) -> list[str]:
    """The axis below rows: its ticks, lines up to ``top`` where there is a ``grid``, and its name."""
    parts = []
    places = ticks(across.low, across.high, 3, least=2)
    for tick, text in zip(places, tick_texts(places), strict=True):
        at = across(tick)
        if grid:
            parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{top:.1f}" y2="{height - BOTTOM}"/>')
        parts.append(_text(at, height - BOTTOM + 13, text, "middle"))
    parts.append(_text((across.start + across.stop) / 2, height - 5, x, "middle", "axis"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick", room: float = math.inf) -> str:
    """A text, cut to ``room`` pixels; then all of it is in the tooltip."""
    size = LABEL if kind == "label" else SMALL
    shown = cut(text, room, size)
    whole = f"<title>{escape(text)}</title>" if shown != text else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}{whole}</text>'
        if text
        else ""
    )


def _wrap(title: str, description: str, parts: Sequence[str], size: tuple[int, int]) -> Markup:
    head = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    name = escape(f"{title}: {description}" if title else description, quote=True)
    return Markup(
        f'<figure class="chart">{head}<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{name}">'
        f"{''.join(parts)}</svg></figure>"
    )
