"""What a lower hallucination rate costs: coverage, general ability, training time; and combination strategies."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from harness.protocols.benchmark import Metric
from harness.store import EvaluationRecord, Store
from leaderboards.charts.svg import Bar, Series, bars, chart, fitting
from leaderboards.charts.training import Evidence
from leaderboards.condition import condition_of
from leaderboards.rows import Row, Table
from leaderboards.run_groups import EXECUTION_SETTINGS, current_evaluations, run_groups
from leaderboards.text import METRICS, benchmark_title, interval, metric_title, number

ABILITY = (("amber", "f1"), ("mm_vet", "total"), ("llava_bench", "all"), ("pope", "f1"), ("mmhal", "informativeness"))
"""Figures that stand for general ability, the first that a store has."""

HALLUCINATION = {"object_halbench": ("chair_i", "recall"), "amber": ("chair", "cover")}
"""By benchmark the metric of hallucination and that of coverage."""

Palette = Mapping[str, int]


def tradeoff_charts(
    store: Store, panel: str, tables: Sequence[Table], evidence: Evidence | None, palette: Palette
) -> list[Markup]:
    """CHAIR_i against coverage (with the curve of the end-of-sequence bias), against ability, against training time."""
    by_name = {table.condition.benchmark: table for table in reversed(tables)}
    halbench = by_name.get("object_halbench") or by_name.get("amber")
    if halbench is None:
        return []
    if not _has_coverage(halbench):
        return []
    chair, cover = HALLUCINATION[halbench.condition.benchmark]
    rate = rate_title(halbench)
    charts = [
        chart(_curves(store, halbench, chair, cover, palette),
              "Hallucination against coverage (down and right is better)", "coverage: objects named, %",
              rate, size=(700, 360))
    ]  # fmt: skip
    for benchmark, metric in ABILITY:
        other = by_name.get(benchmark)
        if other is not None and metric in {m.name for m in other.metrics}:
            points = _against(halbench, chair, {row.label: row.cells[metric].value for row in other.rows}, palette)
            ability = next(m for m in other.metrics if m.name == metric)
            across = f"{benchmark_title(benchmark)} {metric_title(ability)}" + (", %" if ability.unit == "%" else "")
            charts.append(chart(points, "Hallucination against ability", across, rate))
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
                rate,
            )
        )
    return charts


def rate_title(table: Table) -> str:
    """The rate of hallucination with its benchmark, as axes name it: AMBER's CHAIR is not Object HalBench's CHAIRi."""
    metric = HALLUCINATION[table.condition.benchmark][0]
    return f"{benchmark_title(table.condition.benchmark)} {METRICS[metric]}, %"


def coverage_curves(store: Store, table: Table, palette: Palette) -> list[Series]:
    """Hallucination against coverage of every row, at every bias of the decoding; none where that is not measured."""
    return _curves(store, table, *HALLUCINATION[table.condition.benchmark], palette) if _has_coverage(table) else []


def _has_coverage(table: Table) -> bool:
    """Whether a table has both hallucination and coverage."""
    needed = HALLUCINATION.get(table.condition.benchmark, ("", ""))
    return set(needed) <= {metric.name for metric in table.metrics}


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
    for e in current_evaluations(
        store.evaluations(benchmark=table.condition.benchmark), run_groups(store.alignments())
    ):
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


RATES = (("nonhal_response", "responses"), ("nonhal_mention", "mentions"))
"""What figures 4 and 5 of the paper show: the share of responses, and of mentions, without hallucination."""


def combination_chart(tables: Sequence[Table], evidence: Evidence | None) -> Markup | None:
    """Figures 4 and 5: DAMA's combination strategies by non-hallucination rate; None for fewer than two strategies."""
    table = next((t for t in tables if t.condition.benchmark == "object_halbench"), None)
    if evidence is None or table is None:
        return None
    names = strategies(evidence)
    rows = [row for row in table.rows if row.label in names]
    if len({names[row.label][0] for row in rows}) < 2:
        return None
    metrics = {metric.name: metric for metric in table.metrics}
    groups = [(names[row.label][1], _rates(row, metrics)) for row in rows]
    title = "Combination strategies: responses and mentions without hallucination"
    legend = [(f"tone{i}", f"{what} without hallucination") for i, (_, what) in enumerate(RATES)]
    return fitting(lambda width: bars(groups, title, "% without hallucination", legend=legend, width=width))


def strategies(evidence: Evidence) -> dict[str, tuple[str, str]]:
    """Method -> its combination of aD and aM, and what to call it where strategies are compared.

    That is the strategy where the methods differ in nothing else, and the method's own name where they do.
    """
    found: dict[str, str] = {}
    others = set()
    for alignment in evidence.alignments:
        objective = alignment.config.get("objective") or {}
        if "combine" in objective:
            found.setdefault(alignment.method, str(objective["combine"]))
            config = {name: value for name, value in alignment.config.items() if name not in EXECUTION_SETTINGS}
            config["objective"] = {name: value for name, value in objective.items() if name != "combine"}
            others.add(json.dumps(config, sort_keys=True, default=str))
    alone = len(others) == 1 and len(set(found.values())) == len(found)
    return {method: (combine, combine if alone else method) for method, combine in found.items()}


def _rates(row: Row, metrics: Mapping[str, Metric]) -> list[Bar]:
    """The two bars of one strategy with their intervals."""
    found = []
    for i, (name, what) in enumerate(RATES):
        if name in row.cells:
            cell = row.cells[name]
            text = f"{number(cell.value, metrics[name])} {interval(cell.low, cell.high, metrics[name])}"
            note = f"{row.label}: {what} {text} %"
            found.append(Bar(cell.value, f"tone{i}", text, note, cell.low, cell.high))
    return found
