"""Leaderboards as GitHub-flavoured Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.protocols.benchmark import Metric
from leaderboards.rows import Cell, Row, Table
from leaderboards.text import (
    NO_EVALUATIONS,
    against,
    benchmark_title,
    best_rows,
    compared,
    condition_text,
    counts,
    interval,
    metric_title,
    note,
    number,
    p_text,
    panel_title,
    signed,
    stars,
)


def markdown(tables: Sequence[Table], *, nothing: str = NO_EVALUATIONS) -> str:
    """A heading for each panel, a table for each benchmark, and a note that says how to read them."""
    parts = ["# Leaderboard", note(tables) if tables else nothing]
    panel = None
    for table in tables:
        if table.panel != panel:
            panel = table.panel
            parts.append(f"## {panel_title(panel)}")
        parts.append(f"### {benchmark_title(table.condition.benchmark)}\n\n{condition_text(table.condition)}")
        parts.append(_figures(table))
        for reference in compared(table):
            how = "p: paired permutation test, Holm-adjusted over the methods"
            parts.append(f"Difference to {reference} ({how})\n\n{_differences(table, reference)}")
    return "\n\n".join(parts) + "\n"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A GFM table; the first ``left`` columns are left-aligned, the others right-aligned."""
    lines = [header, ["---" if i < left else "---:" for i in range(len(header))], *rows]
    return "\n".join("| " + " | ".join(escape(cell) for cell in line) + " |" for line in lines)


def escape(text: str) -> str:
    """``text`` as it must stand in a table cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def _figures(table: Table) -> str:
    best = {metric.name: best_rows(table, metric) for metric in table.headline}
    header = ["Method", "Seeds", "Scored", *map(metric_title, table.headline)]
    rows = [
        [row.label, str(len(row.runs)), counts(row)]
        + [_cell(row.cells[m.name], m, row.label in best[m.name]) for m in table.headline]
        for row in table.rows
    ]
    return grid(header, rows)


def _cell(cell: Cell, metric: Metric, best: bool) -> str:
    value = number(cell.value, metric)
    spread = f" ±{number(cell.spread, metric)}" if math.isfinite(cell.spread) else ""
    if not math.isfinite(cell.value):
        return value
    return f"{f'**{value}**' if best else value}{spread} {interval(cell.low, cell.high, metric)}"


def _differences(table: Table, reference: str) -> str:
    rows = [
        [against(row, reference), *(_difference(row, metric, reference) for metric in table.headline)]
        for row in table.rows
        if reference in row.references
    ]
    return grid(["Method", *map(metric_title, table.headline)], rows)


def _difference(row: Row, metric: Metric, reference: str) -> str:
    found = row.cells[metric.name].versus.get(reference)
    if found is None or not math.isfinite(found.value):
        return "–"
    p = row.cells[metric.name].holm[reference]
    text = f"{signed(found.value, metric)}{stars(found, p)} {interval(found.low, found.high, metric)}"
    return f"{text} p={p_text(p)}".replace("p=<", "p<")
