"""What the report shows of one panel whatever its rows are compared with: its ranking cell by cell, and the charts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from harness.protocols.benchmark import Metric
from leaderboards import half_widths
from leaderboards.charts.combinations import combination_chart
from leaderboards.charts.forest import mini
from leaderboards.charts.gap_curves import gap_finding
from leaderboards.charts.svg import extent
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
from leaderboards.conclusion import conclusions
from leaderboards.declared import metric_title
from leaderboards.notes import a_a_rate
from leaderboards.page.samples import data_uri
from leaderboards.provenance import condition_key
from leaderboards.rows import Row, Table
from leaderboards.text import (
    condition_text,
    condition_titles,
    counts,
    figure,
    interval,
    is_matched,
    number,
    panel_title,
    primary_metric,
    ranks,
)
from leaderboards.trivial import trivial_labels, trivial_rows
from leaderboards.view import Examples, View


def panel_view(view: View, panel: str, evidence: Evidence | None, palette: Mapping[str, int]) -> dict[str, Any]:
    """Everything the page shows of one panel whatever its rows are compared with."""
    tables = [table for table in view.tables if table.panel == panel]
    titles = condition_titles(table.condition for table in tables)
    shown: dict[str, Any] = {
        "title": panel_title(panel),
        "groups": [_group(table, titles[table.condition], palette) for table in tables],
        "conclusion": conclusions(tables),
        "a_a": a_a_rate(tables),
        "trivial": trivial_labels(tables),
        "matched": any(_has_matched(table) for table in tables),
        "tradeoffs": tradeoff_charts(view.snapshot, tables, evidence, palette),
        "combinations": combination_chart(tables, evidence),
        "gaps": [], "finding": "", "logs": [], "weights": None, "kept": None, "hardness": None, "extremes": [],
    }  # fmt: skip
    if evidence is not None:
        shown |= {
            "gaps": gap_charts(evidence),
            "finding": gap_finding(evidence.curves),
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
        rank = ranks(table, metric)
        columns.append(
            {
                "title": metric_title(metric, table.condition.benchmark),
                "name": metric.name,
                "primary": metric == primary_metric(table),
                "cells": {
                    row.label: _cell(row, metric, rank.get(row.label, 0), bounds, palette.get(row.label, 0))
                    for row in table.rows
                },
            }
        )
    return {
        "title": title,
        "condition": condition_text(table.condition),
        "columns": columns,
        "same": _samples_of_all(table),
        "rows": {
            row.label: {
                "counts": counts(row),
                "incomplete": not row.whole or bool(row.trained_on),
                "runs": row.runs,
            }
            for row in table.rows
        },
        "trivial": dict(trivial_rows(table)),
        "key": condition_key(table.condition),
    }


def _samples_of_all(table: Table) -> str:
    """How many samples every run was scored on, where that is all of them and the same number and none of their
    pictures was trained on; else nothing."""
    of_runs = {row.n / max(len(row.runs), 1) for row in table.rows if row.whole}
    whole = all(row.whole and not row.trained_on for row in table.rows)
    return f"{of_runs.pop():,.0f} samples" if whole and len(of_runs) == 1 else ""


def _has_matched(table: Table) -> bool:
    """Whether hallucination is compared at equal coverage."""
    figures = [row.cells[m.name] for m in table.metrics if is_matched(table, m) for row in table.rows]
    return any(math.isfinite(cell.value) for cell in figures)


def _cell(row: Row, metric: Metric, rank: int, bounds: tuple[float, float], colour: int) -> dict[str, Any]:
    cell = row.cells[metric.name]
    return {
        "value": figure(row, metric),
        "sort": cell.value if math.isfinite(cell.value) else "",
        "spread": f"± {number(cell.spread, metric)}" if math.isfinite(cell.spread) else "",
        "interval": interval(cell.low, cell.high, metric),
        "parts": ", ".join([*half_widths.named(cell, metric), *(f"evaluator {of.key}" for of in row.evaluators)]),
        "rank": rank,
        "mini": mini(cell.value, cell.low, cell.high, bounds, colour),
    }


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
