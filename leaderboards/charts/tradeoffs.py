"""What a lower hallucination rate costs: coverage, general ability, tokens read in training."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from markupsafe import Markup

from harness.store import EvaluationRecord
from leaderboards.charts.lines import Reading, Series, chart
from leaderboards.charts.svg import fitting
from leaderboards.charts.training import Evidence
from leaderboards.condition import condition_of
from leaderboards.declared import benchmark_title, declared, matched_name, metric_name, metric_title
from leaderboards.rows import Row, Table
from leaderboards.run_groups import BASE
from leaderboards.snapshot import Snapshot

Palette = Mapping[str, int]


def tradeoff_charts(
    snapshot: Snapshot, tables: Sequence[Table], evidence: Evidence | None, palette: Palette
) -> list[Markup]:
    """Hallucination against coverage (with the curve of the end-of-sequence bias), against ability, against the tokens
    read in training; of the first of a panel's ``tables`` that has both hallucination and coverage, else none.
    """
    first: dict[str, Table] = {}  # of a benchmark's conditions
    for table in tables:
        first.setdefault(table.condition.benchmark, table)
    drawn = next((table for table in first.values() if _tradeoff(table)), None)
    if drawn is None:
        return []
    hallucination, rate = _tradeoff(drawn)[0], rate_title(drawn.condition.benchmark)
    curves = coverage_curves(snapshot, drawn, palette)
    charts = [fitting(partial(_coverage_chart, curves, rate, reading_line(drawn)))]
    for other in sorted(first.values(), key=_ability_order):
        ability = next((m for m in other.metrics if m.name == declared(other.condition.benchmark).ability), None)
        if ability is not None:
            figures = {row.label: row.cells[ability.name].value for row in other.rows}
            benchmark = other.condition.benchmark
            across = f"{benchmark_title(benchmark)} {metric_title(ability, benchmark)}"
            across += ", %" if ability.unit == "%" else ""
            dots = _against(drawn, hallucination, figures, palette)
            charts.append(chart(dots, "Hallucination against ability", across, rate, read="point"))
            break
    if evidence is not None and (tokens := trained_tokens(evidence)):
        dots = _against(drawn, hallucination, {BASE: 0.0, **tokens}, palette)
        charts.append(
            chart(dots, "Hallucination against tokens read in training", "million tokens of a run", rate, read="point")
        )
    return charts


def _coverage_chart(curves: Sequence[Series], rate: str, line: tuple[float, str] | None, width: int) -> Markup:
    """The curves for a window of that width: on a phone less wide than high."""
    title, across = "Hallucination against coverage (down and right is better)", "coverage: objects named, %"
    size = (width, 360 if width > 500 else 330)
    return chart(curves, title, across, rate, size=size, upright=line, read="point")


def trained_tokens(evidence: Evidence) -> dict[str, float]:
    """Million tokens of all pairs that a method's run read, also of those that its filter then left out; the mean over
    its seeds. Empty where a run of the panel did not log them. Unlike seconds they do not depend on what else the
    machine did.
    """
    totals = {a.name: [row.get("tokens") for row in evidence.logs[a.name]] for a in evidence.alignments}
    if any(not of_run or None in of_run for of_run in totals.values()):
        return {}
    return {
        method: sum(sum(filter(None, totals[a.name])) for a in runs) / len(runs) / 1e6
        for method in evidence.methods
        if (runs := evidence.runs(method))
    }


def _ability_order(table: Table) -> bool:
    """Sorts benchmarks of hallucination without coverage last: their figure of ability is of the same few answers."""
    declaration = declared(table.condition.benchmark)
    return declaration.tradeoff is None and "general" not in declaration.suites


def rate_title(benchmark: str) -> str:
    """The rate of hallucination with its benchmark, as axes name it: AMBER's CHAIR is not Object HalBench's CHAIRi."""
    tradeoff = declared(benchmark).tradeoff
    rate = metric_name(benchmark, tradeoff[0]) if tradeoff else "hallucination"
    return f"{benchmark_title(benchmark)} {rate}, %"


def coverage_curves(snapshot: Snapshot, table: Table, palette: Palette) -> list[Series]:
    """For each row its figures by bias, the mean over its seeds, joined from silent to talkative, and where it is read;
    none where the table lacks hallucination or coverage.
    """
    if not _tradeoff(table):
        return []
    rate, cover = _tradeoff(table)
    title = metric_name(table.condition.benchmark, rate)
    stored: dict[str, dict[float, EvaluationRecord]] = defaultdict(dict)
    for e in snapshot.current:
        condition = condition_of(e)
        if condition.unbiased == table.condition.unbiased:
            stored[e.run][condition.eos_bias] = e
    curves = []
    for row in table.rows:
        points = _points(row, stored, rate, cover)
        notes = [f"{row.label}, EOS bias {bias:+g}: coverage {x:.1f} %, {title} {y:.1f} %" for bias, x, y in points]
        curves.append(
            Series(
                row.label,
                [p[1:] for p in points],
                palette.get(row.label, 0),
                dots=True,
                notes=notes,
                tag=row.label,
                reading=_reading(table, row),
            )
        )
    return curves


def reading_line(table: Table) -> tuple[float, str] | None:
    """Where the curves are read, and what that is: the coverage of base; None where no row is read there."""
    base = next((row for row in table.rows if row.label == BASE), None)
    if base is None or not any(_reading(table, row) for row in table.rows):
        return None
    at = base.cells[_tradeoff(table)[1]].value
    return at, f"coverage of base, {at:.1f} %"


def _reading(table: Table, row: Row) -> Reading | None:
    """Where a row's curve meets the coverage of base, with its interval; none of base, whose point lies there."""
    base = next((other for other in table.rows if other.label == BASE), None)
    cell = row.cells.get(matched_name(table.condition.benchmark))
    if base is None or row is base or cell is None or not math.isfinite(cell.value):
        return None
    span = f" [{cell.low:.1f}, {cell.high:.1f}]" if math.isfinite(cell.low) else ""
    title = metric_name(table.condition.benchmark, matched_name(table.condition.benchmark))
    at = base.cells[_tradeoff(table)[1]].value
    beyond = "" if cell.bracketed else ", beyond the curve's ends"
    note = f"{row.label} at the coverage of base: {title} {cell.value:.1f} %{span}{beyond}"
    return Reading(at, cell.value, cell.low, cell.high, note, cell.bracketed)


def _tradeoff(table: Table) -> tuple[str, ...]:
    """The names of the metrics of hallucination and coverage; () where the table does not have both."""
    needed = declared(table.condition.benchmark).tradeoff or ()
    return needed if set(needed) <= {metric.name for metric in table.metrics} else ()


def _against(table: Table, metric: str, other: Mapping[str, float], palette: Palette) -> list[Series]:
    """A point for every row that has both figures."""
    series = []
    for row in table.rows:
        cell = row.cells[metric]
        if row.label in other and math.isfinite(cell.value) and math.isfinite(other[row.label]):
            series.append(
                Series(
                    row.label,
                    [(other[row.label], cell.value)],
                    palette.get(row.label, 0),
                    line=False,
                    dots=True,
                    spans=[(cell.low, cell.high)],
                    tag=row.label,
                )
            )
    return series


def _points(
    row: Row, stored: Mapping[str, Mapping[float, EvaluationRecord]], rate: str, cover: str
) -> list[tuple[float, float, float]]:
    """By falling bias coverage and rate, the mean over a row's seeds. Where seeds have other points, as they do with
    ``--eos-bias auto``, each one's curve is read between two of its own, in the range that all of them cover.
    """
    curves: list[dict[float, tuple[float, float]]] = []
    for run in row.runs:
        curves.append({})
        for bias, evaluation in sorted(stored.get(run, {}).items()):
            x, y = (evaluation.metrics.get(name, {}).get("value") for name in (cover, rate))
            if x is not None and y is not None:
                curves[-1][bias] = float(x), float(y)
    if not curves or not all(curves):
        return []
    low, high = max(map(min, curves)), min(map(max, curves))
    points = []
    for bias in sorted({bias for curve in curves for bias in curve if low <= bias <= high}, reverse=True):
        x, y = (
            float(np.mean([np.interp(bias, list(curve), [values[i] for values in curve.values()]) for curve in curves]))
            for i in (0, 1)
        )
        points.append((bias, x, y))
    return points
