"""Charts over two axes: lines, points, and histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from leaderboards.charts.marks import HUES, dot, marks
from leaderboards.charts.svg import (
    BOTTOM,
    LEFT,
    RIGHT,
    SMALL,
    TOP,
    Scale,
    cut,
    escape,
    extent,
    figure,
    short,
    text_at,
    text_width,
    tick_texts,
    ticks,
)

LINE = 13.0
"""Pixels from one direct label to the next."""


@dataclass(frozen=True)
class Reading:
    """A figure that is read off a curve: where, its interval (NaN: none), and what a pointer that rests on it is shown.

    ``within``: whether the curve reaches so far; else the reading lies on a prolongation, which is drawn dotted.
    """

    x: float
    y: float
    low: float
    high: float
    note: str
    within: bool = True


@dataclass(frozen=True)
class Series:
    """One line or cloud of points.

    Args:
        label: what it is; shown when the pointer rests on it.
        points: (x, y); those that are not finite are left out.
        colour: number of the colour.
        line: whether the points are joined.
        dots: whether each point is marked.
        dash: how a line is dashed: "own" (as its colour number says), "solid", or "dotted".
        spans: (low, high) in y of every point, drawn as a whisker; empty for none.
        notes: a text for every dot instead of its figures; empty for none.
        reading: a figure read off the curve, drawn as a ring with a whisker.
        tag: what is written at its last point; empty for none.
        name: what the page hides it by, where that is not ``label``: its method.
        kind: its class where that is no method's colour ("easy").
    """

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    line: bool = True
    dots: bool = False
    dash: str = "own"
    spans: Sequence[tuple[float, float]] = ()
    notes: Sequence[str] = ()
    reading: Reading | None = None
    tag: str = ""
    name: str = ""
    kind: str = ""

    @property
    def known(self) -> list[int]:
        """The points that are numbers."""
        return [i for i, point in enumerate(self.points) if all(map(math.isfinite, point))]


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
    upright: tuple[float, str] | None = None,
    read: str = "x",
) -> Markup:
    """Lines and points over two axes, each named at its end where there is room for all the names.

    ``zero`` draws the line y = 0; ``rug``: (x, colour) ticks at the foot; ``upright``: a line at that x, and what
    it is; ``read``: what the pointer reads off, all lines at one "x" or the nearest "point".
    """
    width, height = size
    series = [replace(s, tag=cut(s.tag, 0.3 * width, SMALL)) for s in series]
    points = [s.points[i] for s in series for i in s.known]
    readings = [s.reading for s in series if s.reading is not None]
    xs = [p[0] for p in points] + [r.x for r in readings]
    ys = [p[1] for p in points] + [v for s in series for span in s.spans for v in span]
    ys += [v for r in readings for v in (r.y, r.low, r.high)]
    tags = [s for s in series if s.tag and s.known]
    room = max((text_width(s.tag, SMALL) for s in tags), default=0)
    named = LINE * len(tags) <= height - BOTTOM - TOP
    right = width - RIGHT - (room + 8 if named and tags else 0)
    across = Scale(*extent(xs, 0.03), LEFT, right)
    up = Scale(*(y_range or extent(ys, keep=(0.0,) if zero else ())), height - BOTTOM, TOP)
    drawn = [*_axes(across, up, x, y, (right, height))]
    if zero:
        drawn.append(f'<line class="zero" x1="{LEFT}" x2="{right:.1f}" y1="{up(0):.1f}" y2="{up(0):.1f}"/>')
    for at, colour in rug:
        if across.low <= at <= across.high:
            foot = height - BOTTOM
            drawn.append(
                f'<line class="rug c{colour % (HUES + 1)}" x1="{across(at):.1f}" x2="{across(at):.1f}" '
                f'y1="{foot}" y2="{foot - 7}"/>'
            )
    if upright is not None:
        drawn.append(_upright(*upright, across, height))
    places = _apart([up(s.points[s.known[-1]][1]) for s in tags], TOP + 4, height - BOTTOM) if named else []
    beside = dict(zip(map(id, tags), places, strict=False))
    aside = _side_by_side([s for s in series if s.reading is not None])
    drawn += [_series(s, across, up, right, beside.get(id(s)), aside.get(id(s), 0.0)) for s in series]
    scales = " ".join(f"{v:.6g}" for scale in (across, up) for v in (scale.low, scale.high, scale.start, scale.stop))
    about = f'data-read="{read}" data-scales="{scales}"'
    return figure(title, f"{y} against {x}: {', '.join(s.label for s in series)}", drawn, size, about=about)


def _side_by_side(series: Sequence[Series]) -> dict[int, float]:
    """By how many pixels the intervals of readings stand aside, so that those at one x do not hide each other."""
    step = min(4.0, 28 / max(1, len(series)))
    return {id(s): step * (i - (len(series) - 1) / 2) for i, s in enumerate(series)}


def _apart(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """Heights as near to ``wanted`` as may be, ``LINE`` apart, between ``top`` and ``bottom``."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    places = [0.0] * len(wanted)
    at = top - LINE
    for i in order:
        at = places[i] = max(wanted[i], at + LINE)
    at = bottom + LINE
    for i in reversed(order):
        at = places[i] = min(places[i], at - LINE)
    return places


def histogram(
    bins: Sequence[tuple[float, float, float, str, str]], title: str, x: str, y: str,
    *, size: tuple[int, int] = (700, 250),
) -> Markup:  # fmt: skip
    """Bars side by side over a common axis: (from, to, height, class, tooltip)."""
    width, height = size
    edges = [edge for each in bins for edge in each[:2]]
    across = Scale(min(edges, default=0.0), max(edges, default=1.0), LEFT, width - RIGHT)
    up = Scale(0, max((each[2] for each in bins), default=1.0) * 1.05 or 1, height - BOTTOM, TOP)
    drawn = _axes(across, up, x, y, (width - RIGHT, height))
    for low, high, value, kind, note in bins:
        drawn.append(
            f'<rect class="bar {kind}" x="{across(low):.1f}" '
            f'width="{max(across(high) - across(low) - 1, 0.5):.1f}" y="{up(value):.1f}" '
            f'height="{max(height - BOTTOM - up(value), 0):.1f}"><title>{escape(note)}</title></rect>'
        )
    return figure(title, f"{y} by {x}", drawn, size)


def _series(s: Series, across: Scale, up: Scale, right: float, beside: float | None, aside: float) -> str:
    """A line with its points; ``beside``: the height of its name, ``aside``: how far its reading's interval stands
    from the reading."""
    kept = s.known
    pixels = [(across(s.points[i][0]), up(s.points[i][1])) for i in kept]
    drawn = []
    for k, i in enumerate(kept):
        if s.spans and all(map(math.isfinite, s.spans[i])):
            low, high = s.spans[i]
            at = pixels[k][0]
            drawn.append(f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{up(low):.1f}" y2="{up(high):.1f}"/>')
    if s.line and len(pixels) > 1:
        path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in pixels)
        drawn.append(f'<path class="line {s.dash}" d="{path}"/>')
    if s.dots or len(pixels) == 1:
        for k, i in enumerate(kept):
            note = s.notes[i] if s.notes else f"{s.label}: {short(s.points[i][0])}, {short(s.points[i][1])}"
            px, py = pixels[k]
            drawn.append(dot(px, py, 4, s.colour, note))
    if beside is not None:
        px, py = pixels[-1]
        drawn.append(f'<path class="lead" d="M{px + 5:.1f} {py:.1f}L{right + 5:.1f} {beside:.1f}"/>')
        drawn.append(text_at(right + 8, beside + 4, s.tag, "start", "tag"))
    if s.reading is not None:
        drawn.append(_reading(s.reading, pixels, across, up, aside))
    values = " ".join(f"{s.points[i][0]:.5g},{s.points[i][1]:.5g}" for i in kept)
    return (
        f'<g class="series {s.kind or marks(s.colour)}" data-series="{escape(s.name or s.label)}" '
        f'data-label="{escape(s.label)}" data-xy="{values}"><title>{escape(s.label)}</title>{"".join(drawn)}</g>'
    )


def _reading(r: Reading, pixels: Sequence[tuple[float, float]], across: Scale, up: Scale, aside: float) -> str:
    """A ring with its interval; where the curve does not reach it, a dotted line to the curve's nearest point."""
    x, y = across(r.x), up(r.y)
    drawn = []
    if math.isfinite(r.low) and math.isfinite(r.high):
        at, ends = x + aside, (up(r.low), up(r.high))
        drawn.append(f'<line class="whisker" x1="{at:.1f}" x2="{at:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}"/>')
    if not r.within and pixels:
        px, py = min(pixels, key=lambda p: abs(p[0] - x))
        drawn.append(f'<path class="line dotted" d="M{px:.1f} {py:.1f}L{x:.1f} {y:.1f}"/>')
    drawn.append(f'<circle class="reading" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{escape(r.note)}</title></circle>')
    return "".join(drawn)


def _upright(at: float, words: str, across: Scale, height: int) -> str:
    """A line from top to bottom with its name at the top, on the side where there is more room; on a line more where
    it has two parts and they do not fit on one."""
    x = across(at)
    before = x - across.start > across.stop - x
    room = (x - across.start if before else across.stop - x) - 6
    lines = [words] if text_width(words, SMALL) <= room else words.split(", ")
    place, anchor = x + (-5 if before else 5), "end" if before else "start"
    name = "".join(text_at(place, TOP + 10 + LINE * i, line, anchor, room=room) for i, line in enumerate(lines))
    return f'<line class="zero" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>{name}'


def _axes(across: Scale, up: Scale, x: str, y: str, size: tuple[float, int]) -> list[str]:
    """Both axes; ``size``: the right end of the one and the foot of the other, with its margin."""
    right, height = size
    drawn = []
    heights = ticks(up.low, up.high)
    for tick, text in zip(heights, tick_texts(heights), strict=True):
        at = up(tick)
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{right:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(text_at(LEFT - 6, at + 3.5, text, "end"))
    values = ticks(across.low, across.high, 5)
    for tick, text in zip(values, tick_texts(values), strict=True):
        drawn.append(text_at(across(tick), height - BOTTOM + 14, text, "middle"))
    drawn.append(text_at((LEFT + right) / 2, height - 4, x, "middle", "axis"))
    drawn.append(text_at(4, 11, y, "start", "axis"))
    return drawn
