"""Combination strategies of the data-aware and the model-aware factor, by rates without hallucination."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from harness.protocols.benchmark import Metric
from leaderboards.charts.bars import Bar, bars
from leaderboards.charts.svg import fitting
from leaderboards.charts.training import Evidence
from leaderboards.declared import declared
from leaderboards.rows import Row, Table
from leaderboards.run_groups import EXECUTION_SETTINGS
from leaderboards.text import interval, number


def combination_chart(tables: Sequence[Table], evidence: Evidence | None) -> Markup | None:
    """Figures 4 and 5: DAMA's combination strategies by non-hallucination rate; None for fewer than two strategies."""
    table = next((t for t in tables if declared(t.condition.benchmark).rates), None)
    if evidence is None or table is None:
        return None
    names = strategies(evidence)
    rows = [row for row in table.rows if row.label in names]
    if len({names[row.label][0] for row in rows}) < 2:
        return None
    metrics, rates = {metric.name: metric for metric in table.metrics}, declared(table.condition.benchmark).rates
    groups = [(names[row.label][1], _bars(row, metrics, rates)) for row in rows]
    title = f"Combination strategies: {' and '.join(what for _, what in rates)} without hallucination"
    legend = [(f"tone{i}", f"{what} without hallucination") for i, (_, what) in enumerate(rates)]
    return fitting(lambda width: bars(groups, title, "% without hallucination", legend=legend, width=width))


def strategies(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Method -> its combination of aD and aM, and what to call it where strategies are compared.

    That is the strategy where the methods differ in nothing else, and the method's own name where they do.
    """
    used: dict[str, str] = {}
    others = set()
    for alignment in evidence.alignments:
        objective = alignment.config.get("objective") or {}
        if "combine" in objective:
            used.setdefault(alignment.method, str(objective["combine"]))
            config = {name: value for name, value in alignment.config.items() if name not in EXECUTION_SETTINGS}
            config["objective"] = {name: value for name, value in objective.items() if name != "combine"}
            others.add(json.dumps(config, sort_keys=True, default=str))
    alone = len(others) == 1 and len(set(used.values())) == len(used)
    return {method: (combine, combine if alone else method) for method, combine in used.items()}


def _bars(row: Row, metrics: Mapping[str, Metric], rates: Sequence[tuple[str, str]]) -> list[Bar]:
    """The bars of one strategy with their intervals."""
    shown = []
    for i, (name, what) in enumerate(rates):
        if name in row.cells:
            cell = row.cells[name]
            text = f"{number(cell.value, metrics[name])} {interval(cell.low, cell.high, metrics[name])}"
            note = f"{row.label}: {what} {text} %"
            shown.append(Bar(cell.value, f"tone{i}", text, note, cell.low, cell.high))
    return shown
