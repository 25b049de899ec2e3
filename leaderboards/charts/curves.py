"""The curve of hallucination against coverage as files for papers, where a store has one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from leaderboards.charts.lines import Series
from leaderboards.charts.plots import save, stem
from leaderboards.charts.svg import GREY, HUES, colour
from leaderboards.charts.tradeoffs import coverage_curves, rate_title, reading_line
from leaderboards.rows import Table
from leaderboards.run_groups import BASE
from leaderboards.snapshot import Snapshot
from leaderboards.text import panel_title, table_title

COLOURS = ("#2b5fd9", "#0a8f6a", "#d4562a", "#8a4fc9", "#b58900", "#0e8aa8", "#c2347a", "#5b6b2e", "#8b8f98")
"""The page's colours, in its order."""

TURNS = (("o", "-"), ("D", "--"), ("^", "-."))
"""Point and line where a colour is used for the first, the second and the third time, as on the page."""


def write_curves(snapshot: Snapshot, tables: Sequence[Table], folder: Path) -> list[Path]:
    """For each table with a curve an SVG and a PNG in ``folder`` (made if absent); returns the files."""
    files = []
    for table in tables:
        curves = coverage_curves(snapshot, table, palette_of_rows(table))
        if any(len(curve.points) > 1 for curve in curves):
            folder.mkdir(parents=True, exist_ok=True)
            files += save(partial(_draw, table, curves), folder / stem(table, "coverage"))
    return files


def palette_of_rows(table: Table) -> Mapping[str, int]:
    """A colour and mark for every row; base is grey."""
    others = [row.label for row in table.rows if row.label != BASE]
    return {BASE: GREY, **{label: colour(i) for i, label in enumerate(others)}}


def _draw(table: Table, curves: Sequence[Series]) -> Any:
    """One line a method, from silent to talkative; down and to the right is better. A ring with a whisker is where a
    curve is read, filled white; on a dotted line where the curve does not reach so far.
    """
    from matplotlib.figure import Figure

    names = max((len(curve.label) for curve in curves), default=0)
    figure = Figure(figsize=(5.3 + 0.075 * names, max(3.6, 0.7 + 0.19 * len(curves))), layout="constrained")
    axis = figure.subplots()
    for curve in curves:
        turn, hue = divmod(curve.colour, HUES + 1)
        marker, line = TURNS[turn]
        x, y = zip(*curve.points, strict=True) if curve.points else ((), ())
        axis.plot(x, y, line, marker=marker, color=COLOURS[hue], label=curve.label, linewidth=1.5, markersize=4.5)
        if (read := curve.reading) is not None:
            if math.isfinite(read.low):
                axis.plot([read.x, read.x], [read.low, read.high], color=COLOURS[hue], linewidth=2.4, alpha=0.38)
            if not read.within and curve.points:
                end = min(curve.points, key=lambda point: abs(point[0] - read.x))
                axis.plot([end[0], read.x], [end[1], read.y], ":", color=COLOURS[hue], linewidth=1.2)
            axis.plot([read.x], [read.y], "o", color=COLOURS[hue], markerfacecolor="white", markersize=6)
    if (target := reading_line(table)) is not None:
        axis.axvline(target[0], color="#999999", linewidth=0.8, zorder=0, label=target[1])
    axis.set_xlabel("coverage: objects named, %", fontsize=9)
    axis.set_ylabel(rate_title(table.condition.benchmark), fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    figure.legend(loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(f"{table_title(table.condition)}, {panel_title(table.panel)}", fontsize=10)
    return figure
