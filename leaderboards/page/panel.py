"""What the report shows of one panel: its table cell by cell, the verdicts in words, the charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards.charts.combinations import combination_chart
from leaderboards.charts.forest import Estimate, forest, mini
from leaderboards.charts.svg import extent, fitting
from leaderboards.charts.tradeoffs import tradeoff_charts
from leaderboards.charts.training import (
    Evidence,
    extremes,
    gap_charts,
    hardness_chart,
    kept_chart,
    log_charts,
    weight_chart,
)  # fmt: skip
from leaderboards.declared import metric_title
from leaderboards.page.answers import answers, kind_of
from leaderboards.page.samples import data_uri
from leaderboards.provenance import condition_key
from leaderboards.rows import Row, Table
from leaderboards.run_groups import REFERENCES
from leaderboards.text import (
    against,
    condition_text,
    condition_titles,
    counts,
    interval,
    is_matched,
    number,
    p_text,
    panel_title,
    ranks,
    signed,
    stars,
)  # fmt: skip
from leaderboards.trivial import trivial_labels, trivial_rows
from leaderboards.view import Examples, View


def panel_view(view: View, panel: str, evidence: Evidence | None, palette: Mapping[str, int]) -> dict[str, Any]:
    """Everything the page shows of one panel."""
    tables = [table for table in view.tables if table.panel == panel]
    titles = condition_titles(table.condition for table in tables)
    shown: dict[str, Any] = {
        "title": panel_title(panel),
        "groups": [_group(table, titles[table.condition], palette) for table in tables],
        "labels": list(dict.fromkeys(row.label for table in tables for row in table.rows)),
        "trivial": trivial_labels(tables),
        "answers": answers(tables),
        "matched": any(_has_matched(table) for table in tables),
        "marks": [name for name in REFERENCES if name in {_mark(table) for table in tables}],
        "forests": [chart for table in tables for chart in _forests(table, titles[table.condition], palette)],
        "tradeoffs": tradeoff_charts(view.snapshot, tables, evidence, palette),
        "combinations": combination_chart(tables, evidence),
        "gaps": [], "logs": [], "weights": None, "kept": None, "hardness": None, "extremes": [],
    }  # fmt: skip
    if evidence is not None:
        shown |= {
            "gaps": gap_charts(evidence),
            "logs": log_charts(evidence, palette),
            "weights": weight_chart(evidence, palette),
            "kept": kept_chart(evidence),
            "hardness": hardness_chart(evidence),
            "extremes": _extremes(evidence, view.examples),
        }
    return shown


def _group(table: Table, title: str, palette: Mapping[str, int]) -> dict[str, Any]:
    """The columns of one benchmark condition, cell by cell."""
    columns = []
    for metric in table.headline:
        cells = {row.label: row.cells[metric.name] for row in table.rows}
        bounds = extent([v for c in cells.values() for v in (c.low, c.high)], 0.02)
        mark = _mark(table)
        reference = cells[mark].value if mark else math.nan
        rank = ranks(table, metric)
        columns.append(
            {
                "title": metric_title(metric, table.condition.benchmark),
                "name": metric.name,
                "cells": {
                    row.label: _cell(row, metric, rank.get(row.label, 0), bounds, reference, palette.get(row.label, 0))
                    for row in table.rows
                },
            }
        )
    return {
        "title": title,
        "condition": condition_text(table.condition),
        "columns": columns,
        "rows": {
            row.label: {
                "counts": counts(row),
                "incomplete": not row.whole,
                "runs": row.runs,
                "seeds": len(row.runs),
            }
            for row in table.rows
        },
        "trivial": dict(trivial_rows(table)),
        "key": condition_key(table.condition),
    }


def _mark(table: Table) -> str:
    """The row that the tick in every cell of a table stands for, empty for none."""
    return next((name for name in REFERENCES if any(row.label == name for row in table.rows)), "")


def _has_matched(table: Table) -> bool:
    """Whether hallucination is compared at equal coverage."""
    figures = [row.cells[m.name] for m in table.metrics if is_matched(table, m) for row in table.rows]
    return any(math.isfinite(cell.value) for cell in figures)


def _cell(row: Row, metric: Metric, rank: int, bounds: tuple[float, float], mark: float, colour: int) -> dict[str, Any]:
    cell = row.cells[metric.name]
    return {
        "value": number(cell.value, metric),
        "sort": cell.value if math.isfinite(cell.value) else "",
        "spread": f"± {number(cell.spread, metric)}" if math.isfinite(cell.spread) else "",
        "interval": interval(cell.low, cell.high, metric),
        "rank": rank,
        "mini": mini(cell.value, cell.low, cell.high, bounds, mark, colour),
        "versus": [
            {
                "to": name,
                "text": signed(d.value, metric) + stars(d, cell.holm[name]),
                "kind": kind_of(d, metric, cell.holm[name]),
                "range": interval(d.low, d.high, metric),
                "p": f"p {p_text(cell.holm[name])}",
                "title": f"against {row.references[name]}: {signed(d.value, metric)} "
                f"{interval(d.low, d.high, metric)}, p {p_text(d.p)}, Holm {p_text(cell.holm[name])}, "
                f"{d.n} common samples{_detectable(d, metric)}",
            }
            for name, d in cell.versus.items()
            if math.isfinite(d.value)
        ],
    }


def _detectable(difference: Difference, metric: Metric) -> str:
    if not math.isfinite(difference.smallest):
        return ""
    return f"; minimum detectable difference {number(difference.smallest, metric)} (80 % power)"


def _forests(table: Table, name: str, palette: Mapping[str, int]) -> list[dict[str, Any]]:
    """For each headline metric and reference, the differences of all methods with their intervals; matched first."""
    forests = []
    for reference in REFERENCES:
        for metric in sorted(table.headline, key=lambda m: not is_matched(table, m)):
            compared = [row for row in table.rows if reference in row.cells[metric.name].versus]
            rows = [_estimate(row, metric, reference, palette.get(row.label, 0)) for row in compared]
            if rows:
                title = f"{name} {metric_title(metric, table.condition.benchmark)}"
                wide = is_matched(table, metric)
                draw = partial(_drawn, rows, title, f"difference to {reference}")
                forests.append({"reference": reference, "chart": fitting(draw) if wide else draw(380), "wide": wide})
    return forests


def _estimate(row: Row, metric: Metric, reference: str, colour: int) -> Estimate:
    """The difference of a row to a reference, as a line of a forest."""
    cell = row.cells[metric.name]
    d, holm = cell.versus[reference], p_text(cell.holm[reference])
    span = interval(d.low, d.high, metric)
    text = f"{signed(d.value, metric)} {span}  p {holm}"
    note = f"{row.label} - {row.references[reference]}: {signed(d.value, metric)} {span}, Holm p {holm}"
    return Estimate(against(row, reference), d.value, d.low, d.high, colour, text, note)


def _drawn(rows: Sequence[Estimate], title: str, x: str, width: int) -> Markup:
    return forest(rows, title, x, width=width)


def _extremes(evidence: Evidence, examples: Examples) -> list[dict[str, Any]]:
    """The hardest and easiest pairs with their text, where the pairs are still there."""
    hard, easy = extremes(evidence)
    if not hard:
        return []
    source = next((a for a in evidence.alignments if a.config.get("data")), evidence.alignments[0])
    known = examples(source, [pair for pair, _ in (*hard, *easy)])
    return [
        {
            "kind": kind,
            "delta": f"{delta:+.2f}",
            "id": pair,
            **{name: known.get(pair, {}).get(name, "") for name in ("question", "chosen", "rejected")},
            "picture": data_uri(known[pair]["picture"]) if known.get(pair, {}).get("picture") else "",
        }
        for kind, group in (("hard", hard), ("easy", easy))
        for pair, delta in group
    ]
