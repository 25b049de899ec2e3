"""What the report shows of one panel: its table cell by cell, the verdicts in words, the charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from harness.store import AlignmentRecord, Store
from leaderboards import coverage
from leaderboards.charts.svg import Estimate, extent, fitting, forest, mini
from leaderboards.charts.tradeoffs import combination_chart, tradeoff_charts
from leaderboards.charts.training import (
    Evidence,
    extremes,
    gap_charts,
    hardness_chart,
    kept_chart,
    log_charts,
    weight_chart,
)  # fmt: skip
from leaderboards.page.samples import data_uri
from leaderboards.provenance import condition_key
from leaderboards.rows import REFERENCES, Row, Table
from leaderboards.text import (
    against,
    benchmark_title,
    better,
    condition_text,
    condition_titles,
    counts,
    interval,
    metric_title,
    number,
    p_text,
    panel_title,
    ranks,
    signed,
    stars,
)  # fmt: skip

Examples = Callable[[AlignmentRecord, Sequence[str]], Mapping[str, Mapping[str, Any]]]
"""The pairs of an alignment by id: {"question", "chosen", "rejected", "picture": bytes}; empty where unknown."""


def panel_view(
    panel: str,
    tables: Sequence[Table],
    evidence: Evidence | None,
    palette: Mapping[str, int],
    *,
    examples: Examples,
    store: Store,
) -> dict[str, Any]:
    """Everything the page shows of one panel."""
    titles = condition_titles(table.condition for table in tables)
    view: dict[str, Any] = {
        "title": panel_title(panel),
        "groups": [_group(table, titles[table.condition], palette) for table in tables],
        "labels": list(dict.fromkeys(row.label for table in tables for row in table.rows)),
        "answers": answers(tables),
        "matched": any(_has_matched(table) for table in tables),
        "marks": [name for name in REFERENCES if name in {_mark(table) for table in tables}],
        "forests": [chart for table in tables for chart in _forests(table, titles[table.condition], palette)],
        "tradeoffs": tradeoff_charts(store, panel, tables, evidence, palette),
        "combinations": combination_chart(tables, evidence),
        "gaps": [], "logs": [], "weights": None, "kept": None, "hardness": None, "extremes": [],
    }  # fmt: skip
    if evidence is not None:
        view |= {
            "gaps": gap_charts(evidence),
            "logs": log_charts(evidence, palette),
            "weights": weight_chart(evidence, palette),
            "kept": kept_chart(evidence),
            "hardness": hardness_chart(evidence),
            "extremes": _extremes(evidence, examples),
        }
    return view


def _group(table: Table, title: str, palette: Mapping[str, int]) -> dict[str, Any]:
    """The columns of one benchmark condition, cell by cell."""
    columns = []
    for metric in table.headline:
        cells = {row.label: row.cells[metric.name] for row in table.rows}
        bounds = extent([v for c in cells.values() for v in (c.low, c.high)], 0.02)
        mark = _mark(table)
        reference = cells[mark].value if mark else math.nan
        places = ranks(table, metric)
        columns.append(
            {
                "title": metric_title(metric),
                "name": metric.name,
                "cells": {
                    row.label: _cell(
                        row, metric, places.get(row.label, 0), bounds, reference, palette.get(row.label, 0)
                    )
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
                "incomplete": row.n_scored < row.n,
                "runs": row.runs,
                "seeds": len(row.runs),
            }
            for row in table.rows
        },
        "key": condition_key(table.condition),
    }


def _mark(table: Table) -> str:
    """The row that the tick in every cell of a table stands for, empty for none."""
    return next((name for name in REFERENCES if any(row.label == name for row in table.rows)), "")


def _has_matched(table: Table) -> bool:
    """Whether hallucination is compared at equal coverage."""
    return any(math.isfinite(row.cells[coverage.NAME].value) for row in table.rows if coverage.NAME in row.cells)


def _cell(
    row: Row, metric: Metric, place: int, bounds: tuple[float, float], mark: float, colour: int
) -> dict[str, Any]:
    cell = row.cells[metric.name]
    return {
        "value": number(cell.value, metric),
        "sort": cell.value if math.isfinite(cell.value) else "",
        "spread": f"± {number(cell.spread, metric)}" if math.isfinite(cell.spread) else "",
        "interval": interval(cell.low, cell.high, metric),
        "place": place,
        "mini": mini(cell.value, cell.low, cell.high, bounds, mark, colour),
        "versus": [
            {
                "to": name,
                "text": signed(found.value, metric) + stars(found, cell.holm[name]),
                "kind": _kind(found, metric, cell.holm[name]),
                "range": interval(found.low, found.high, metric),
                "p": f"p {p_text(cell.holm[name])}",
                "title": f"against {row.references[name]}: {signed(found.value, metric)} "
                f"{interval(found.low, found.high, metric)}, p {p_text(found.p)}, Holm {p_text(cell.holm[name])}, "
                f"{found.n} common samples{_least(found, metric)}",
            }
            for name, found in cell.versus.items()
            if math.isfinite(found.value)
        ],
    }


def _least(found: Difference, metric: Metric) -> str:
    if not math.isfinite(found.smallest):
        return ""
    return f"; {number(found.smallest, metric)} or more would have been found four times in five"


def _forests(table: Table, name: str, palette: Mapping[str, int]) -> list[dict[str, Any]]:
    """For each headline metric and reference, the differences of all methods with their intervals; matched first."""
    found = []
    for reference in REFERENCES:
        for metric in sorted(table.headline, key=lambda m: m.name != coverage.NAME):
            rows = []
            for row in table.rows:
                cell = row.cells[metric.name]
                d = cell.versus.get(reference)
                if d is not None:
                    span = interval(d.low, d.high, metric)
                    holm = p_text(cell.holm[reference])
                    text = f"{signed(d.value, metric)} {span}  p {holm}"
                    note = f"{row.label} - {row.references[reference]}: {signed(d.value, metric)} {span}, Holm p {holm}"
                    shown = palette.get(row.label, 0)
                    rows.append(Estimate(against(row, reference), d.value, d.low, d.high, shown, text, note))
            if rows:
                title = f"{name} {metric_title(metric)}"
                wide = metric.name == coverage.NAME
                draw = partial(_drawn, rows, title, f"difference to {reference}")
                drawn = fitting(draw) if wide else draw(380)
                found.append({"reference": reference, "chart": drawn, "wide": wide})
    return found


def _drawn(rows: Sequence[Estimate], title: str, x: str, width: int) -> Markup:
    return forest(rows, title, x, width=width)


WORDS = {"unsure": "not told apart from", "better": "better than", "worse": "worse than"}
MATCHED_WORDS = WORDS | {"better": "hallucinates less than", "worse": "hallucinates more than"}


def answers(tables: Sequence[Table]) -> list[dict[str, Any]]:
    """For every method a verdict in words against each reference, on the metric that cannot be bought with silence,
    else on the first one.
    """
    for preferred in (True, False):
        for table in tables:
            directed = [m for m in table.headline if m.higher_is_better is not None]
            metric = next((m for m in directed if m.name == coverage.NAME or not preferred), None)
            found = [a for row in table.rows if metric is not None and (a := _answer(table, row, metric))]
            if found:
                return found
    return []


def _answer(table: Table, row: Row, metric: Metric) -> dict[str, Any] | None:
    """None where the row is compared with nothing, or has no such figure."""
    cell = row.cells[metric.name]
    verdicts = [_verdict(row, metric, name) for name in REFERENCES if name in cell.versus]
    if not verdicts:
        return None
    what = f"{benchmark_title(table.condition.benchmark)} {metric_title(metric)}"
    return {
        "label": row.label,
        "kind": verdicts[0]["kind"],
        "verdicts": verdicts,
        "figure": number(cell.value, metric) + (" %" if metric.unit == "%" else ""),
        "what": "CHAIRi at the base's coverage ↓" if metric.name == coverage.NAME else what,
    }


def _verdict(row: Row, metric: Metric, reference: str) -> dict[str, str]:
    """How a row compares with one reference, in words and figures."""
    cell = row.cells[metric.name]
    found, p = cell.versus[reference], cell.holm[reference]
    kind = _kind(found, metric, p)
    words = MATCHED_WORDS if metric.name == coverage.NAME else WORDS
    return {
        "kind": kind,
        "text": f"{words[kind]} {row.references[reference]}",
        "detail": f"{signed(found.value, metric)} {interval(found.low, found.high, metric)}, Holm p {p_text(p)}",
    }


def _kind(difference: Difference, metric: Metric, p_holm: float) -> str:
    return {True: "better", False: "worse", None: "unsure"}[better(difference, metric, p_holm)]


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
