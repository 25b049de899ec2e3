"""A table against any of its rows, from the differences that it holds."""

from __future__ import annotations

from dataclasses import replace

from leaderboards.rows import Row, Table


def compared_with(table: Table, reference: str) -> Table | None:
    """The ``table`` with all rows compared with ``reference``; None where it has no such row. Nothing is computed."""
    if reference not in {row.label for row in table.rows}:
        return None
    return replace(table, rows=tuple(_row(table, row, reference) for row in table.rows), against=reference)


def _row(table: Table, row: Row, reference: str) -> Row:
    cells = {}
    for name, cell in row.cells.items():
        test = table.pairs[name].get((row.label, reference))
        versus, holm = ({}, {}) if test is None else ({reference: test[0]}, {reference: test[1]})
        cells[name] = replace(cell, versus=versus, holm=holm)
    return replace(row, cells=cells, references={} if row.label == reference else {reference: reference})
