"""The curve of hallucination against coverage as files for papers, where a store has one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from leaderboards.charts.lines import Series
from leaderboards.charts.marks import HUES, LIGHT, palette_of, shape
from leaderboards.charts.plots import Save, figure_title, save, stem
from leaderboards.charts.tradeoffs import coverage_curves, rate_title, reading_line
from leaderboards.rows import Table
from leaderboards.snapshot import Snapshot

STYLES = (("o", "-"), ("D", "--"), ("^", ":"), ("s", "-."), ("v", (0, (8, 2, 2, 2, 2, 2))))
"""Point and line of every shape, as on the page."""


def write_curves(snapshot: Snapshot, tables: Sequence[Table], folder: Path, save: Save = save) -> list[Path]:
    """For each table with a curve an SVG and a PNG in ``folder`` (made if absent); returns the files."""
    files = []
    for table in tables:
        curves = coverage_curves(snapshot, table, palette_of(row.label for row in table.rows))
        if any(len(curve.points) > 1 for curve in curves):
            titles = figure_title(table), rate_title(table.condition.benchmark)
            draw = partial(_draw, titles, reading_line(table), curves)
            files += save(draw, folder / stem(table, "coverage"))
    return files


def _draw(titles: tuple[str, str], target: tuple[float, str] | None, curves: Sequence[Series]) -> Any:
    """One line a method, from silent to talkative; down and to the right is better. A ring with a whisker is where a
    curve is read, filled white; on a dotted line where the curve does not reach so far.

    ``titles``: of the figure and of its rates; ``target``: where curves are read, and what that is.
    """
    from matplotlib.figure import Figure

    names = max((len(curve.label) for curve in curves), default=0)
    figure = Figure(figsize=(5.3 + 0.075 * names, max(3.6, 0.7 + 0.19 * len(curves))), layout="constrained")
    axis = figure.subplots()
    for curve in curves:
        marker, line = STYLES[shape(curve.colour)]
        x, y = zip(*curve.points, strict=True) if curve.points else ((), ())
        hue = LIGHT[curve.colour % (HUES + 1)]
        (drawn,) = axis.plot(x, y, color=hue, label=curve.label, linewidth=1.5, markersize=4.5)
        drawn.set(marker=marker, linestyle=line)
        if (read := curve.reading) is not None:
            if math.isfinite(read.low):
                axis.plot([read.x, read.x], [read.low, read.high], color=hue, linewidth=1.7)
            if not read.within and curve.points:
                end = min(curve.points, key=lambda point: abs(point[0] - read.x))
                axis.plot([end[0], read.x], [end[1], read.y], ":", color=hue, linewidth=1.2)
            axis.plot([read.x], [read.y], "o", color=hue, markerfacecolor="white", markersize=6)
    if target is not None:
        axis.axvline(target[0], color="#999999", linewidth=0.8, zorder=0, label=target[1])
    axis.set_xlabel("coverage: objects named, %", fontsize=9)
    axis.set_ylabel(titles[1], fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(titles[0], fontsize=10)
    return figure
