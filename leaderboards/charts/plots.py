"""Plots as files for papers: SVG and PNG of every headline metric's figures with their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.util.files import replacing
from harness.util.options import content_key
from harness.util.visible import stripped
from leaderboards.declared import metric_title
from leaderboards.provenance import condition_key
from leaderboards.rows import Table
from leaderboards.run_groups import DPO
from leaderboards.text import panel_title, table_title

Save = Callable[[Callable[[], Any], Path], list[Path]]
"""``save``, or what has it done elsewhere: gives the files of the figure that is drawn, named by their stem."""
LONGEST = 120
"""Bytes of a file's stem; a file system takes 255 of a name."""


def file_name(text: str) -> str:
    """``text`` as the stem of a file: letters and digits joined by hyphens; of a long one its beginning and hash."""
    name = "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
    if len(name.encode()) <= LONGEST:
        return name
    return f"{name.encode()[:LONGEST].decode(errors='ignore')}-{content_key(text)[:8]}"


def stem(table: Table, what: str = "") -> str:
    """The name of a table's plot, without its ending: no two conditions share one."""
    c = table.condition
    return file_name(f"{what} {c.benchmark} {table.panel} {c.judge} {condition_key(c)[:6]}")


def figure_title(table: Table) -> str:
    """Benchmark and panel, above a table's figures."""
    return f"{table_title(table.condition)}, {panel_title(table.panel)}"


def save(draw: Callable[[], Any], stem: Path) -> list[Path]:
    """Write the matplotlib figure that ``draw`` makes as STEM.svg and STEM.png (200 dpi), always with the same bytes.

    Names in it are shown as they are: a dollar sign begins no formula, and what cannot be seen is left out.
    """
    from matplotlib import rc_context
    from matplotlib.text import Text

    files = files_of(stem)
    with rc_context({"svg.hashsalt": "plots", "svg.fonttype": "none", "text.parse_math": False}):
        figure = draw()
        for text in figure.findobj(Text):
            text.set_text(stripped(text.get_text()))
        for file in files:
            kind = file.suffix[1:]
            with replacing(file) as part:
                figure.savefig(part, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)
            figure.set_layout_engine("none")  # it is laid out, for both files alike
    return files


def files_of(stem: Path) -> list[Path]:
    """The files that ``save`` writes."""
    return [stem.with_name(f"{stem.name}.{kind}") for kind in ("svg", "png")]


def write_plots(tables: Sequence[Table], folder: Path, save: Save = save) -> list[Path]:
    """One figure a table, as SVG and PNG, in ``folder`` (made if absent); returns the files."""
    files = []
    for table in tables:
        files += save(partial(_draw, Intervals.of(table)), folder / stem(table))
    return files


@dataclass(frozen=True)
class Intervals:
    """What a table's plot shows: its title, the metrics' titles, and of every row (value, low, high) of each metric."""

    title: str
    metrics: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[float, float, float], ...]], ...]

    @classmethod
    def of(cls, table: Table) -> Intervals:
        cells = ((row.label, [row.cells[metric.name] for metric in table.headline]) for row in table.rows)
        return cls(
            figure_title(table),
            tuple(metric_title(metric, table.condition.benchmark) for metric in table.headline),
            tuple((label, tuple((cell.value, cell.low, cell.high) for cell in of_row)) for label, of_row in cells),
        )


def _draw(shown: Intervals) -> Any:
    """A panel for each headline metric: methods down, value with its interval across, DPO's value as a line."""
    from matplotlib.figure import Figure

    names, panels = max((len(label) for label, _ in shown.rows), default=0), max(1, len(shown.metrics))
    width = 0.6 + 0.075 * names + 2.1 * panels
    figure = Figure(figsize=(width, 0.9 + 0.32 * len(shown.rows)), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for number, (axis, title) in enumerate(zip(axes, shown.metrics, strict=False)):
        for y, (label, cells) in enumerate(shown.rows):
            value, low, high = cells[number]
            if math.isfinite(value):
                axis.plot([low, high], [y, y], color="#9db4e8", linewidth=2.4)
                axis.plot([value], [y], "o", color="#2b5fd9", markersize=5)
            if label == DPO and math.isfinite(value):
                axis.axvline(value, color="#999999", linewidth=0.8, zorder=0)
        axis.set_title(title, fontsize=9)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(left=False, labelsize=8)
    axes[0].set_yticks(range(len(shown.rows)), [stripped(label) for label, _ in shown.rows])
    axes[0].invert_yaxis()
    figure.suptitle(shown.title, fontsize=10)
    return figure
