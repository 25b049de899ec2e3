"""Leaderboards as GitHub-flavoured Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from harness.protocols.benchmark import Metric
from harness.util.visible import on_one_line
from leaderboards import half_widths
from leaderboards.charts.gap_curves import SPLITS, Curve, gap_curves
from leaderboards.declared import metric_title
from leaderboards.formats.registry import FORMATS, Format
from leaderboards.notes import note
from leaderboards.published import Published
from leaderboards.reward_gaps import TERCILES
from leaderboards.rows import Row, Table
from leaderboards.text import (
    NO_EVALUATIONS,
    against,
    best_rows,
    compared,
    condition_text,
    counts,
    figure,
    heading,
    interval,
    p_text,
    panel_title,
    signed,
    stars,
    table_title,
)
from leaderboards.trivial import trivial_rows
from leaderboards.view import View

SPECIAL = re.compile(r"[\\`*\[\]<>|~&#$]|(?<![^\W_])_|_(?![^\W_])|(?<=\w):(?=//)|(?i:(?<=www)\.)|(?<=\w)@(?=\w)")
"""What Markdown, and what GitHub adds to it, would read as anything but itself wherever it stands in a line: emphasis,
code, links, addresses, HTML, entities, cells, formulas. An underscore within a word is none of these."""


def literal(text: str, *, code: bool = False) -> str:
    """``text`` of others on one line, as Markdown shows it literally; with ``code`` backticks keep their meaning."""
    return SPECIAL.sub(lambda found: found[0] if code and found[0] == "`" else f"\\{found[0]}", on_one_line(text))


def markdown(tables: Sequence[Table], *, nothing: str = NO_EVALUATIONS) -> str:
    """A heading for each panel, a table for each benchmark, and a note that says how to read them."""
    blocks = [f"# {literal(heading(tables))}", literal(note(tables) if tables else nothing, code=True)]
    panel = None
    for table in tables:
        if table.panel != panel:
            panel = table.panel
            blocks.append(f"## {literal(panel_title(panel))}")
        blocks.append(f"### {literal(table_title(table.condition))}\n\n{literal(condition_text(table.condition))}")
        blocks.append(_figures(table))
        for reference in compared(table):
            how = (
                f"{half_widths.EXPLAINED}; p is Holm-adjusted over all pairs of rows; checkpoints: with one seed on a "
                "side nothing is said of the methods"
            )
            blocks.append(f"Difference to {reference} ({how})\n\n{_differences(table, reference)}")
    return "\n\n".join(blocks) + "\n"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A GFM table of cells that are Markdown already; the first ``left`` columns are left-aligned, the others right."""
    lines = [header, ["---" if i < left else "---:" for i in range(len(header))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _figures(table: Table) -> str:
    best = {metric.name: best_rows(table, metric) for metric in table.headline}
    header = ["Method", "Seeds", "Scored", *_titles(table)]
    rows = [
        [literal(row.label), str(len(row.runs)), counts(row)]
        + [_cell(row, m, row.label in best[m.name]) for m in table.headline]
        for row in table.rows
    ]
    rows += [[f"*{literal(label)}*", "–", "–", *figures] for label, figures in trivial_rows(table)]
    return grid(header, rows)


def _titles(table: Table) -> list[str]:
    return [literal(metric_title(metric, table.condition.benchmark)) for metric in table.headline]


def _cell(row: Row, metric: Metric, best: bool) -> str:
    cell, value = row.cells[metric.name], figure(row, metric)
    if not math.isfinite(cell.value):
        return value
    halves = f" ({' '.join(half_widths.short(cell, metric))})" if math.isfinite(cell.low) else ""
    return f"{f'**{value}**' if best else value} {interval(cell.low, cell.high, metric)}{halves}"


def _differences(table: Table, reference: str) -> str:
    rows = [
        [literal(against(row, reference)), *(_difference(row, metric, reference) for metric in table.headline)]
        for row in table.rows
        if reference in row.references
    ]
    return grid(["Method", *_titles(table)], rows)


def _difference(row: Row, metric: Metric, reference: str) -> str:
    difference = row.cells[metric.name].versus.get(reference)
    if difference is None or not math.isfinite(difference.value):
        return "–"
    p = row.cells[metric.name].holm[reference]
    halves = f" ({' '.join(half_widths.short(difference, metric))})" if math.isfinite(difference.low) else ""
    text = (
        f"{signed(difference.value, metric)}{stars(difference, p)} "
        f"{interval(difference.low, difference.high, metric)}{halves} p={p_text(p)}".replace("p=<", "p<")
    )
    more = " checkpoints" if difference.kind == "checkpoints" else ""
    return text + more + (", seeds disagree in sign" if difference.signs_differ else "")


def gap_summary(curves: Sequence[Curve]) -> str:
    """A table of the last values of reward-gap curves; empty without any."""
    if not curves:
        return ""
    ends = {(c.panel, c.method, c.split, c.tercile): c.gaps[-1] for c in curves if c.gaps}
    columns = [(split, tercile) for split in SPLITS for tercile in reversed(TERCILES)]
    rows = [
        [literal(panel_title(panel)), literal(method), str(seeds)]
        + [_two(ends.get((panel, method, split, tercile), math.nan)) for split, tercile in columns]
        for panel, method, seeds in dict.fromkeys((c.panel, c.method, c.seeds) for c in curves)
    ]
    header = ["Panel", "Method", "Seeds", *(f"{split} {tercile}" for split, tercile in columns)]
    return "Reward gap (nats) after the last step, by tercile of hardness\n\n" + grid(header, rows, left=2) + "\n"


def _two(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def published_markdown(block: Published) -> str:
    """The published figures under a heading of their own, and what is left out of them."""
    left_out = [literal(block.left_out)] if block.left_out else []
    if not block.rows:
        return "\n\n".join(left_out)
    table = grid(["Model", *map(literal, block.columns)], [[literal(name), *figures] for name, figures in block.rows])
    return "\n\n".join([f"## {literal(block.title)}", block.source, table, *left_out])


class Markdown(Format):
    """Tables, reward gaps, and the published figures if they are wanted."""

    name = "markdown"
    suffixes = (".md",)
    says_empty = True

    def render(self, view: View) -> str:
        blocks = [markdown(view.tables, nothing=view.empty), gap_summary(gap_curves(view.snapshot))]
        if view.published_block:
            blocks.append(published_markdown(view.published_block))
        return "\n\n".join(block.strip() for block in blocks if block) + "\n"


FORMATS.register("markdown", Markdown)
