"""What a lower hallucination rate costs: coverage, general ability, training time; and combination strategies."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from harness.store import EvaluationRecord, Store
from leaderboards.condition import condition_of
from leaderboards.lineup import lineup, standing
from leaderboards.rows import Row, Table
from leaderboards.svg import Series, bars, chart
from leaderboards.training import Evidence

ABILITY = (("amber", "f1"), ("mm_vet", "total"), ("llava_bench", "all"), ("pope", "f1"), ("mmhal", "informativeness"))
"""Figures that stand for general ability, the first that a store has."""

Palette = Mapping[str, int]


def tradeoff_charts(
    store: Store, panel: str, tables: Sequence[Table], evidence: Evidence | None, palette: Palette
) -> list[Markup]:
    """CHAIR_i against coverage (with the curve of the end-of-sequence bias), against ability, against training time."""
    by_name = {table.condition.benchmark: table for table in reversed(tables)}
    halbench = by_name.get("object_halbench") or by_name.get("amber")
    if halbench is None:
        return []
    chair, cover = ("chair_i", "recall") if halbench.condition.benchmark == "object_halbench" else ("chair", "cover")
    names = {metric.name for metric in halbench.metrics}
    if not {chair, cover} <= names:
        return []
    charts = [
        chart(_curves(store, halbench, chair, cover, palette),
              "Hallucination against coverage (down and right is better)", "coverage: objects named, %",
              "CHAIRi, %", size=(700, 360))
    ]  # fmt: skip
    for benchmark, metric in ABILITY:
        other = by_name.get(benchmark)
        if other is not None and metric in {m.name for m in other.metrics}:
            points = _against(halbench, chair, {row.label: row.cells[metric].value for row in other.rows}, palette)
            charts.append(chart(points, "Hallucination against ability", f"{benchmark} {metric}", "CHAIRi, %"))
            break
    if evidence is not None:
        seconds: dict[str, list[float]] = defaultdict(list)
        for alignment in evidence.alignments:
            seconds[alignment.method].append(alignment.seconds)
        cost = {"base": 0.0, **{m: sum(s) / len(s) for m, s in seconds.items()}}
        charts.append(
            chart(
                _against(halbench, chair, cost, palette),
                "Hallucination against training time",
                "seconds of one run",
                "CHAIRi, %",
            )
        )
    return charts


def _against(table: Table, metric: str, other: Mapping[str, float], palette: Palette) -> list[Series]:
    """A point for every row that has both figures."""
    found = []
    for row in table.rows:
        cell = row.cells[metric]
        if row.label in other and math.isfinite(cell.value) and math.isfinite(other[row.label]):
            found.append(
                Series(
                    row.label,
                    [(other[row.label], cell.value)],
                    palette.get(row.label, 0),
                    line=False,
                    dots=True,
                    spans=[(cell.low, cell.high)],
                )
            )
    return found


def _curves(store: Store, table: Table, chair: str, cover: str, palette: Palette) -> list[Series]:
    """For each row its figures at every bias of the decoding, the mean over seeds, joined from silent to talkative."""
    stored: dict[str, dict[float, EvaluationRecord]] = defaultdict(dict)
    for e in standing(store.evaluations(benchmark=table.condition.benchmark), lineup(store.alignments())):
        condition = condition_of(e)
        if condition.unbiased == table.condition.unbiased:
            stored[e.run][condition.eos_bias] = e
    found = []
    for row in table.rows:
        points = _points(row, stored, chair, cover)
        notes = [f"{row.label}, EOS bias {bias:+g}: coverage {x:.1f} %, CHAIRi {y:.1f} %" for bias, x, y in points]
        found.append(Series(row.label, [p[1:] for p in points], palette.get(row.label, 0), dots=True, notes=notes))
    return found


def _points(
    row: Row, stored: Mapping[str, Mapping[float, EvaluationRecord]], chair: str, cover: str
) -> list[tuple[float, float, float]]:
    points = []
    biases = set.intersection(*(set(stored[run]) for run in row.runs)) if row.runs else set()
    for bias in sorted(biases, reverse=True):
        stood = [stored[run][bias].metrics for run in row.runs]
        figures = [[metrics.get(name, {}).get("value") for metrics in stood] for name in (cover, chair)]
        known = [[float(v) for v in values if v is not None] for values in figures]
        if all(len(values) == len(row.runs) for values in known):
            x, y = (sum(values) / len(values) for values in known)
            points.append((bias, x, y))
    return points


def combination_chart(tables: Sequence[Table], evidence: Evidence | None, palette: Palette) -> Markup | None:
    """Figures 4 and 5: DAMA's combination strategies by non-hallucination rate; None for fewer than two strategies."""
    if evidence is None:
        return None
    strategy = {
        a.method: (a.config.get("objective") or {})["combine"]
        for a in evidence.alignments
        if "combine" in (a.config.get("objective") or {})
    }
    table = next((t for t in tables if t.condition.benchmark == "object_halbench"), None)
    if table is None or len(set(strategy.values())) < 2:
        return None
    groups = []
    for row in table.rows:
        if row.label in strategy:
            bar = [
                (row.cells[name].value, colour, f"{row.label}: {what} {row.cells[name].value:.1f} %")
                for name, what, colour in (("nonhal_response", "responses", 0), ("nonhal_mention", "mentions", 1))
                if name in row.cells
            ]
            groups.append((strategy[row.label], bar))
    return bars(
        groups, "Combination strategies: responses and mentions without hallucination", "", "%", size=(700, 280)
    )
