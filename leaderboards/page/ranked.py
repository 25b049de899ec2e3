"""The order of a panel's rows: best first by the primary figure of the table that its answer in words is about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.protocols.benchmark import Metric
from leaderboards.conclusion import summed_up
from leaderboards.rows import Row, Table
from leaderboards.run_groups import BASE
from leaderboards.text import better, from_row, primary_metric


def ranked(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """A panel's rows, best first; rows without the figure, or with one that is extrapolated, follow in the tables'
    order, and so do all where neither direction is better or fewer than two can be ranked.

    Of each its place, what is said of it (that the alignments start from it, how many seeds), and of those that are not
    distinguishable from the best one that they are not.
    """
    rows = {row.label: row for table in tables for row in reversed(table.rows)}
    order = dict.fromkeys(row.label for table in tables for row in table.rows)
    near, places = set[str](), dict[str, int]()
    table = summed_up(tables) if tables else None
    metric = primary_metric(table) if table else None
    if table is not None and metric is not None:
        sign = -1 if metric.higher_is_better else 1
        cells = {row.label: row.cells[metric.name] for row in table.rows}
        values = {label: sign * cell.value for label, cell in cells.items() if cell.bracketed}
        known = sorted((label for label, v in values.items() if math.isfinite(v)), key=lambda label: values[label])
        if len(known) > 1:
            places = {label: i + 1 for i, label in enumerate(known)}
            order = dict.fromkeys([*known, *order])
            near = _near(table, metric, known[0])
    return [
        {
            "label": label,
            "place": places.get(label, ""),
            "near": f"not distinguishable from {next(iter(order))}" if label in near else "",
            "about": _about(rows[label]),
        }
        for label in order
    ]


def _near(table: Table, metric: Metric, best: str) -> set[str]:
    """The rows of a table that are not worse than the ``best`` beyond doubt."""
    tests = from_row(table, metric, best)
    return {label for label, (difference, p) in tests.items() if better(difference, metric, p) is None}


def _about(row: Row) -> list[str]:
    seeds = f"{len(row.runs)} seeds" if len(row.runs) > 1 else ""
    return [word for word in ("the start" if row.label == BASE else "", seeds) if word]
