"""Small inline SVG charts, drawn on the server: readable without scripts, in print, and in light and dark.

Colours are classes (``c0``, ``c1``, ...) that the page's style sheet defines, so the theme reaches into the charts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from markupsafe import Markup

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 24, 34


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


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within [low, high]."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


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


def bars(
    groups: Sequence[tuple[str, Sequence[tuple[float, int, str]]]], title: str, x: str, y: str,
    *, size: tuple[int, int] = (340, 230), labels: bool = True,
) -> Markup:  # fmt: skip
    """Groups of bars: (label, [(height, colour, tooltip)])."""
    width, height = size
    tallest = max((bar[0] for _, group in groups for bar in group if math.isfinite(bar[0])), default=1.0)
    up = Scale(0, tallest * 1.05 or 1, height - BOTTOM, TOP)
    room = (width - LEFT - RIGHT) / max(1, len(groups))
    parts = [*_axes(None, up, x, y, size)]
    for i, (label, group) in enumerate(groups):
        each = room * (0.8 if labels else 1.0) / max(1, len(group))
        start = LEFT + room * i + room * (0.1 if labels else 0.0)
        for k, (value, colour, note) in enumerate(group):
            if math.isfinite(value):
                parts.append(
                    f'<rect class="bar c{colour}" x="{start + k * each:.1f}" width="{max(each - 1, 0.5):.1f}" '
                    f'y="{up(value):.1f}" height="{max(height - BOTTOM - up(value), 0):.1f}">'
                    f"<title>{escape(note)}</title></rect>"
                )
        if labels:
            parts.append(_text(LEFT + room * (i + 0.5), height - BOTTOM + 13, label, "middle"))
    return _wrap(title, y, parts, size)


def forest(
    rows: Sequence[tuple[str, float, float, float, int, str]], title: str, x: str, *, width: int = 340
) -> Markup:
    """Differences with their intervals around 0: (label, value, low, high, colour, tooltip)."""
    height = TOP + BOTTOM + 24 * max(1, len(rows))
    left = 84
    low, high = extent([v for row in rows for v in row[1:4]], keep=(0.0,))
    across = Scale(low, high, left, width - RIGHT)
    parts = [_text(across(t), height - BOTTOM + 13, short(t), "middle") for t in ticks(low, high)]
    parts.append(_text((left + width) / 2, height - 5, x, "middle", "axis"))
    parts.append(
        f'<line class="zero" x1="{across(0):.1f}" x2="{across(0):.1f}" y1="{TOP - 4}" y2="{height - BOTTOM}"/>'
    )
    for i, (label, value, lower, upper, colour, note) in enumerate(rows):
        y = TOP + 24 * i + 12
        parts.append(_text(left - 8, y + 4, label, "end", "label"))
        if math.isfinite(value):
            ends = f'x1="{across(lower):.1f}" x2="{across(upper):.1f}"'
            whisker = f'<line class="whisker" {ends} y1="{y}" y2="{y}"/>' if math.isfinite(upper - lower) else ""
            parts.append(
                f'<g class="c{colour}"><title>{escape(note)}</title>{whisker}'
                f'<circle class="dot" cx="{across(value):.1f}" cy="{y}" r="4.5"/></g>'
            )
    return _wrap(title, x, parts, (width, height))


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
        f'<svg class="mini c{colour}" viewBox="0 0 84 10" width="84" height="10" aria-hidden="true">{tick}'
        f'<line class="whisker" x1="{across(low):.1f}" x2="{across(high):.1f}" y1="5" y2="5"/>'
        f'<circle class="dot" cx="{across(value):.1f}" cy="5" r="3"/></svg>'
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
            parts.append(
                f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="4"><title>{escape(note)}</title></circle>'
            )
    return f'<g class="c{s.colour}"><title>{escape(s.label)}</title>{"".join(parts)}</g>'


def _axes(across: Scale | None, up: Scale, x: str, y: str, size: tuple[int, int]) -> list[str]:
    width, height = size
    parts = []
    for tick in ticks(up.low, up.high):
        at = up(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(LEFT - 6, at + 3.5, short(tick), "end"))
    for tick in ticks(across.low, across.high, 5) if across else []:
        parts.append(_text(across(tick), height - BOTTOM + 13, short(tick), "middle"))  # type: ignore[misc]
    parts.append(_text((LEFT + width - RIGHT) / 2, height - 5, x, "middle", "axis"))
    parts.append(_text(4, 11, y, "start", "axis"))
    return parts


def _text(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _wrap(title: str, description: str, parts: Sequence[str], size: tuple[int, int]) -> Markup:
    head = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    name = escape(f"{title}: {description}" if title else description, quote=True)
    return Markup(
        f'<figure class="chart">{head}<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{name}">'
        f"{''.join(parts)}</svg></figure>"
    )
