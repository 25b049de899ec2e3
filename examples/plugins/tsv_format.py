"""A format: the ranking as tab-separated values, a line for each method of each table."""

from __future__ import annotations

import math
from collections.abc import Iterator

from leaderboards.formats.registry import Format
from leaderboards.rows import Table
from leaderboards.text import panel_title
from leaderboards.view import View


class Tsv(Format):
    """``leaderboard --format tsv``."""

    name = "tsv"
    suffixes = (".tsv",)

    def render(self, view: View) -> str:
        return "".join("\t".join(cells) + "\n" for table in view.tables for cells in lines(table))


def lines(table: Table) -> Iterator[list[str]]:
    """A header, then the headline figures of every row, as they are."""
    yield ["panel", table.condition.benchmark, *(metric.name for metric in table.headline)]
    for row in table.rows:
        figures = (row.cells[metric.name].value for metric in table.headline)
        yield [panel_title(table.panel), row.label, *map(cell, figures)]


def cell(value: float) -> str:
    """An undefined figure (nothing was scored) is an empty cell."""
    return f"{value:.6g}" if math.isfinite(value) else ""
