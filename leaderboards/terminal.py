"""Leaderboards as rich tables, readable at 100 columns. Nothing is printed here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from harness.benchmark import Metric
from harness.store import EvaluationRecord
from leaderboards.rows import HEADLINES, Cell, Row, Table
from leaderboards.text import (
    NOTE,
    benchmark_title,
    best_rows,
    better,
    condition_text,
    counts,
    interval,
    metric_title,
    number,
    panel_title,
    signed,
    sure,
)

COLOURS = {True: "green", False: "red", None: "dim"}


def leaderboard(tables: Sequence[Table], *, reference: str = "dpo") -> list[RenderableType]:
    """One rich table for each table, then a note that says how to read them."""
    if not tables:
        return [Text("No evaluations yet: run `bench` or `ablate` first.")]
    return [*(terminal_table(table, reference=reference) for table in tables), Text(NOTE, style="dim")]


def terminal_table(table: Table, *, reference: str = "dpo") -> RichTable:
    """The headline columns of a table: value and interval, below them the difference to the ``reference`` row."""
    out = _frame(
        f"[bold]{benchmark_title(table.condition.benchmark)}[/]  [cyan]{panel_title(table.panel)}[/]",
        condition_text(table.condition),
    )
    # The only column that may shrink, down to the methods' names: figures are never cut.
    out.add_column("Method", min_width=min(24, max((len(row.label) for row in table.rows), default=0)))
    for metric in table.headline:
        out.add_column(metric_title(metric), justify="right", no_wrap=True)
    best = {metric.name: best_rows(table, metric) for metric in table.headline}
    for row in table.rows:
        cells = [
            _cell(row.cells[metric.name], metric, row.label in best[metric.name], reference)
            for metric in table.headline
        ]
        out.add_row(_label(row, reference), *cells)
    return out


def evaluation_table(records: Sequence[EvaluationRecord]) -> RenderableType:
    """Fresh evaluations with all their plain headline figures, one line each metric (what `bench` and `score` show)."""
    out = _frame("", None)
    for name, justify in (("Run", "left"), ("Benchmark", "left"), ("Scored", "right"), ("Metric", "left")):
        out.add_column(name, justify=justify)  # type: ignore[arg-type]
    out.add_column("Value", justify="right")
    out.add_column("95 % interval", justify="right", style="dim")
    for record in records:
        wanted = HEADLINES.get(record.benchmark, tuple(record.metrics)[:6])
        names = [name for name in wanted if name in record.metrics]
        scored = Text(f"{record.n_scored}/{record.n}", "yellow" if record.n_scored < record.n else "")
        for i, name in enumerate(names):
            value, low, high = (_nan(record.metrics[name][key]) for key in ("value", "low", "high"))
            metric = _metric(name, record)
            bias = float(record.decoding.get("eos_bias", 0))
            title = benchmark_title(record.benchmark) + (f", EOS bias {bias:+g}" if bias else "")
            lead = (record.run, title, scored) if i == 0 else ("", "", "")
            out.add_row(*lead, metric_title(metric), number(value, metric), interval(low, high, metric))
        out.add_section()
    return out


def _metric(name: str, record: EvaluationRecord) -> Metric:
    """Name, unit and direction of a stored figure; it cannot be computed again from these."""
    stored = record.metrics[name]
    return Metric(name, lambda sums: next(iter(sums.values())), stored["higher_is_better"], stored["unit"])


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _cell(cell: Cell, metric: Metric, best: bool, reference: str) -> Group:
    spread = f" ±{number(cell.spread, metric)}" if math.isfinite(cell.spread) else ""
    lines = [
        Text.assemble((number(cell.value, metric), "bold" if best else ""), (spread, "dim")),
        Text(f"{number(cell.low, metric)}–{number(cell.high, metric)}" if math.isfinite(cell.low) else "", "dim"),
    ]
    if reference in cell.versus:
        found = cell.versus[reference]
        star = "*" if sure(found) else ""
        lines.append(Text(f"Δ {signed(found.value, metric)}{star}", COLOURS[better(found, metric)]))
    return Group(*lines)


def _label(row: Row, reference: str) -> Group:
    """The method, how much of it was scored, and what its last line is the difference to."""
    seeds = f" · {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    lines = [(row.label, "bold"), (counts(row) + seeds, "yellow" if row.n_scored < row.n else "dim")]
    if any(reference in cell.versus for cell in row.cells.values()):
        lines.append((f"Δ to {reference}", "dim"))
    # Cut rather than wrapped, so that each line stays beside its figures.
    return Group(*(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in lines))


def _frame(title: str, caption: str | None) -> RichTable:
    return RichTable(
        title=title or None,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),  # six figures and a method fit 80 columns
        show_lines=False,
    )
