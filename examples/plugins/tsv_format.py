"""A format: the ranking as tab-separated values, a line for each method of each table."""

from __future__ import annotations

from collections.abc import Iterator

from leaderboards.formats.registry import Format
from leaderboards.rows import Table
from leaderboards.view import View


class Tsv(Format):
    """``leaderboard --format tsv``."""

    name = "tsv"

    def render(self, view: View) -> str:
        return "".join("\t".join(cells) + "\n" for table in view.tables for cells in lines(table))


def lines(table: Table) -> Iterator[list[str]]:
    """A header, then the headline figures of every row, as they are."""
    yield [table.condition.benchmark, *(metric.name for metric in table.headline)]
    for row in table.rows:
        yield [row.label, *(f"{row.cells[metric.name].value:.6g}" for metric in table.headline)]
