"""Leaderboards as rich tables, readable at 100 columns. Nothing is printed here."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from harness.protocols.benchmark import Metric
from harness.store import EvaluationRecord
from harness.util.console import Console
from harness.util.visible import stripped
from leaderboards import half_widths
from leaderboards.conclusion import conclusions
from leaderboards.declared import benchmark_title, headline, metric_title
from leaderboards.evaluators import stored_mark
from leaderboards.formats.registry import FORMATS, Format
from leaderboards.notes import note
from leaderboards.published import Published
from leaderboards.rows import Cell, Row, Table
from leaderboards.run_groups import BASE
from leaderboards.text import (
    NO_EVALUATIONS,
    best_rows,
    better,
    compared,
    condition_text,
    counts,
    figure,
    interval,
    number,
    p_text,
    panel_title,
    signed,
    stars,
    table_title,
    wrapped_title,
)
from leaderboards.trivial import trivial_rows
from leaderboards.view import View

COLOURS = {True: "green", False: "red", None: "dim"}


def leaderboard(
    tables: Sequence[Table], *, differences: bool = False, nothing: str = NO_EVALUATIONS
) -> list[RenderableType]:
    """One rich table for each table, then a note that says how to read them; ``nothing`` where there are none.

    With ``differences`` every table is followed by its differences to base and DPO with intervals and p-values.
    """
    if not tables:
        return [Text(nothing)]
    out: list[RenderableType] = []
    for table in tables:
        out.append(terminal_table(table, differences=not differences))
        out += [difference_table(table, reference) for reference in compared(table) if differences]
    return [*out, Text(" ".join([note(tables), *([f"{half_widths.EXPLAINED}."] if differences else [])]), style="dim")]


def terminal_table(table: Table, *, differences: bool = True) -> RichTable:
    """The headline columns of a table: value and interval, below them the ``differences`` to DPO and base."""
    out = _frame(_title(table), condition_text(table.condition))
    _add_columns(out, table)
    best = {metric.name: best_rows(table, metric) for metric in table.headline}
    for row in table.rows:
        references = [name for name in row.references if differences and row.label != BASE]
        cells = [_cell(row, metric, row.label in best[metric.name], references) for metric in table.headline]
        out.add_row(_label(row, references), *cells)
    for i, (label, figures) in enumerate(trivial_rows(table)):
        if i == 0:
            out.add_section()
        out.add_row(*(Text(text, "dim italic") for text in (label, *figures)))
    return out


def difference_table(table: Table, reference: str) -> RichTable:
    """The differences of all rows to the ``reference`` row: value, 95 % interval, p adjusted over the methods."""
    out = _frame(Text.assemble(_title(table), "  difference to ", (reference, "bold")), None)
    _add_columns(out, table)
    for row in table.rows:
        if reference in row.references:
            cells = [_difference(row.cells[metric.name], metric, reference) for metric in table.headline]
            other = row.references[reference]
            lines = [(row.label, "bold"), *([] if other == reference else [(f"to {other}", "dim")])]
            out.add_row(_lines(lines), *cells)
    return out


def evaluation_table(records: Sequence[EvaluationRecord]) -> RenderableType:
    """Fresh evaluations with all their plain headline figures, one line each metric (what `bench` and `score` show)."""
    made_up = dict.fromkeys(str(r.info["synthetic"]) for r in records if "synthetic" in r.info)
    out = _frame(Text("; ".join(made_up).capitalize()) if made_up else None, None)
    for name, justify in (("Run", "left"), ("Benchmark", "left"), ("Scored", "right"), ("Metric", "left")):
        out.add_column(name, justify=justify)  # type: ignore[arg-type]
    out.add_column("Value", justify="right")
    out.add_column("95 % interval", justify="right", style="dim")
    for record in records:
        names = headline(record.benchmark, list(record.metrics))
        scored = Text(f"{record.n_scored}/{record.n}", "yellow" if record.n_scored < record.n else "")
        for i, name in enumerate(names):
            value, low, high = (_nan(record.metrics[name][key]) for key in ("value", "low", "high"))
            metric = _metric(name, record)
            bias = float(record.decoding.get("eos_bias", 0))
            title = benchmark_title(record.benchmark) + (f", EOS bias {bias:+g}" if bias else "")
            lead = (Text(record.run), Text(title), scored) if i == 0 else ("", "", "")
            figures = (number(value, metric) + stored_mark(record, name), interval(low, high, metric))
            out.add_row(*lead, Text(metric_title(metric, record.benchmark)), *map(Text, figures))
        out.add_section()
    return out


def _metric(name: str, record: EvaluationRecord) -> Metric:
    """Name, unit and direction of a stored figure; it cannot be computed again from these."""
    stored = record.metrics[name]
    return Metric(name, lambda sums: next(iter(sums.values())), stored["higher_is_better"], stored["unit"])


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _title(table: Table) -> Text:
    return Text.assemble((table_title(table.condition), "bold"), "  ", (panel_title(table.panel), "cyan"))


def _add_columns(out: RichTable, table: Table) -> None:
    # The only column that may shrink, down to the methods' names and counts: figures are never cut.
    names = (min(24, len(row.label)) for row in table.rows)
    out.add_column("Method", min_width=max((*names, *(len(counts(row)) + 2 for row in table.rows)), default=0))
    for metric in table.headline:
        out.add_column(Text(wrapped_title(metric, table.condition.benchmark)), justify="right", no_wrap=True)


def _cell(row: Row, metric: Metric, best: bool, references: Sequence[str]) -> Group:
    cell = row.cells[metric.name]
    spread = f" ±{number(cell.spread, metric)}" if math.isfinite(cell.spread) else ""
    lines = [
        Text.assemble((figure(row, metric), "bold" if best else ""), (spread, "dim")),
        Text(_span(cell, metric), "dim"),
    ]
    return Group(*lines, *(_change(cell, metric, name) for name in references))


def _span(cell: Cell, metric: Metric) -> str:
    """The interval below a figure, a dash where the figure has none; nothing below a figure that is missing."""
    if math.isfinite(cell.low):
        return f"{number(cell.low, metric)}–{number(cell.high, metric)}"
    return "–" if math.isfinite(cell.value) else ""


def _change(cell: Cell, metric: Metric, reference: str) -> Text:
    """The difference to a reference with its stars, coloured where it is beyond doubt."""
    difference = cell.versus.get(reference)
    if difference is None or not math.isfinite(difference.value):
        return Text("–", "dim")
    p = cell.holm[reference]
    return Text(f"{signed(difference.value, metric)}{stars(difference, p)}", COLOURS[better(difference, metric, p)])


def _difference(cell: Cell, metric: Metric, reference: str) -> Group:
    difference = cell.versus.get(reference)
    if difference is None:
        return Group(Text("–", "dim"))
    p, low, high = p_text(cell.holm[reference]), difference.low, difference.high
    span = f"{number(low, metric)}, {number(high, metric)}" if math.isfinite(low) else "–"
    lines = (Text(span, "dim"), Text(" ".join(half_widths.short(difference, metric)), "dim"), Text(f"p {p}", "dim"))
    return Group(_change(cell, metric, reference), *lines)


def _label(row: Row, references: Sequence[str]) -> Group:
    """The method, how much of it was scored, and what its last lines are the differences to."""
    seeds = f" · {len(row.runs)} seeds" if len(row.runs) > 1 else ""
    lines = [(row.label, "bold"), (counts(row) + seeds, "dim" if row.whole and not row.trained_on else "yellow")]
    lines += [(f"Δ to {row.references[name]}", "dim") for name in references]
    return _lines(lines)


def _lines(lines: Sequence[tuple[str, str]]) -> Group:
    """Texts with their styles, cut rather than wrapped, so that each stays beside its figures."""
    return Group(*(Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in lines))


def _frame(title: Text | None, caption: str | None) -> RichTable:
    """An empty table. Names and captions are Text: a bracket in a user's name is no markup."""
    return RichTable(
        title=title and Text.assemble(title, style="table.title"),
        caption=caption and Text(f"{caption}\n", "table.caption"),  # a blank line before the next table
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),  # six figures and a method fit 80 columns
        show_lines=False,
    )


def published_terminal(block: Published) -> list[RenderableType]:
    """The published figures as a table whose title says that they are not one's own, and what is left out of them."""
    shown: list[RenderableType] = []
    if block.rows:
        table = RichTable(
            title=Text(block.title, "bold yellow"), caption=block.source,
            title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, pad_edge=False,
        )  # fmt: skip
        table.add_column("Model", no_wrap=True)
        for name in block.columns:
            table.add_column(name, justify="right")
        for model, figures in block.rows:
            table.add_row(model, *figures)
        shown.append(table)
    return [*shown, *([Text(block.left_out, "dim")] if block.left_out else [])]


class Terminal(Format):
    """Tables in colour; as text of ``view.width`` columns in a file, with the answer in words below them."""

    name = "table"
    suffixes = (".txt", "")
    says_empty = True

    def render(self, view: View) -> str:
        console = Console(file=io.StringIO(), width=view.width, color_system=None)
        text = "".join(segment.text for shown in self.rich(view) for segment in console.render(shown))
        said = map(stripped, conclusions(view.tables))
        return "".join(f"{line.rstrip()}\n" for line in [*text.splitlines(), *said])

    def rich(self, view: View) -> list[RenderableType]:
        shown = leaderboard(view.tables, differences=view.differences, nothing=view.empty)
        return [*shown, *(published_terminal(view.published_block) if view.published_block else [])]


FORMATS.register("table", Terminal)
