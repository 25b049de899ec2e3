"""Readings of coverage curves that lie beyond their ends: how every format marks them, and says so."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboards.declared import benchmark_title, metric_name
from leaderboards.rows import Table

MARK = "†"
"""Stands after such a figure, and where stars would stand after a difference."""


def not_bracketed(tables: Sequence[Table]) -> list[str]:
    """The sentence on what is marked in ``tables``, with the share of draws that is extrapolated; none without."""
    found = {
        f"{row.label} ({benchmark_title(table.condition.benchmark)}{f', {table.panel}' if table.panel else ''}: "
        f"{metric_name(table.condition.benchmark, metric.name)}, {100 * cell.extrapolated:.0f} % of draws)": None
        for table in tables
        for row in table.rows
        for metric in table.metrics
        if not (cell := row.cells[metric.name]).bracketed
    }
    if not found:
        return []
    names = list(found)
    shown = "; ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return [
        f"{MARK} The coverage of base lies beyond the ends of the curve, or too near to them, of {shown}: such a "
        "figure is extrapolated, never the best and never starred; `bench --eos-bias auto` adds the points that are "
        "lacking."
    ]
