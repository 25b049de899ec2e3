"""What the tables say, in a sentence or two: who hallucinates least, and whether that is more than noise.

Nothing is claimed that the tables do not test: a difference is more than noise where the leaderboard's own two stars
say so (interval without 0, permutation p-value below .05 after Holm's correction over the methods of the table).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.protocols.benchmark import Metric
from leaderboards.declared import benchmark_title, declared, matched_name, metric_name
from leaderboards.rows import Row, Table
from leaderboards.run_groups import BASE, REFERENCES
from leaderboards.text import best_rows, better, counts, figure, p_text, panel_title, signed

LONGEST = 2
"""Tables that are put into words; of more the first ones."""


def conclusions(tables: Sequence[Table]) -> list[str]:
    """What the tables say, a sentence or two for each panel: of its first benchmark of hallucination and coverage, or
    of its first one.
    """
    chosen = [summed_up([t for t in tables if t.panel == panel]) for panel in dict.fromkeys(t.panel for t in tables)]
    return [conclusion(table) for table in chosen[:LONGEST]]


def summed_up(tables: Sequence[Table]) -> Table:
    """The table of a panel that is put into words: one that compares, of hallucination and coverage, the first."""
    return max(
        tables,
        key=lambda t: (len(_measured(t)) > 1, len(t.rows) > 1, declared(t.condition.benchmark).tradeoff is not None),
    )


def _measured(table: Table) -> list[Row]:
    """The rows that have a value of the table's primary metric."""
    metric = primary_metric(table)
    return [row for row in table.rows if metric and math.isfinite(row.cells[metric.name].value)]


def primary_metric(table: Table) -> Metric | None:
    """What a table is summed up by: hallucination at the base's coverage, else what the benchmark declares.

    None where no metric has a better and a worse.
    """
    by_name, benchmark = {metric.name: metric for metric in table.metrics}, table.condition.benchmark
    names = (matched_name(benchmark), declared(benchmark).primary, *(metric.name for metric in table.headline))
    directed = (by_name[name] for name in names if name in by_name and by_name[name].higher_is_better is not None)
    return next(directed, None)


def conclusion(table: Table) -> str:
    """What one table says of its primary metric."""
    metric, where = primary_metric(table), " ".join([_title(table), *_panel(table)]) + _part(table)
    if metric is None or len(table.rows) < 2:
        names = ", ".join(row.label for row in table.rows)
        if table.left_out:
            return f"{where}: nothing can be said of which is better, only {names} is shown."
        return f"{where}: nothing can be said of which is better, only {names} was evaluated under these conditions."
    measured = _measured(table)
    if len(measured) < 2:
        only = f"only {measured[0].label} has" if measured else "no row has"
        said = f"{where}: nothing can be said of which is better, {only} a value of {_name(table, metric)}."
        return " ".join([said, *_incomplete(table, table.rows)])
    best = [row for row in table.rows if row.label in best_rows(table, metric)]
    if len(best) != 1:
        return f"{where}: no method is better than the others in {_name(table, metric)}, the best are equal."
    (row,) = best
    if row.label == BASE:
        less = "higher" if metric.higher_is_better else "lower"
        said = f"{where}: no method has a {less} {_what(table, metric)} than base ({_figure(table, row, metric)})"
        return " ".join([f"{said}; {_worse(table, metric)}.", *_incomplete(table, [row])])
    most = "highest" if metric.higher_is_better else "lowest"
    lead = f"{where}: {row.label} has the {most} {_what(table, metric)} ({_figure(table, row, metric)})"
    compared = [words for name in REFERENCES[::-1] if (words := _against(row, name, metric))]
    tested = " and ".join(compared) or "there is neither base nor DPO to compare it with"
    return " ".join([f"{lead}: {tested}.", *_silence(table, row, metric), *_incomplete(table, [row])])


def _title(table: Table) -> str:
    return benchmark_title(table.condition.benchmark)


def _panel(table: Table) -> list[str]:
    return [f"({panel_title(table.panel)})"] if table.panel else []


def _part(table: Table) -> str:
    """That the sentence is about some of the rows, where filters leave out others."""
    rows = len(table.rows)
    return f", of the {rows} rows shown of {rows + len(table.left_out)}" if table.left_out else ""


def _name(table: Table, metric: Metric) -> str:
    return metric_name(table.condition.benchmark, metric.name)


def _value(row: Row, metric: Metric) -> str:
    return f"{figure(row.cells[metric.name], metric)}{' %' if metric.unit == '%' else ''}"


def _what(table: Table, metric: Metric) -> str:
    """What a metric measures: hallucination, or what it is called."""
    tradeoff, matched = declared(table.condition.benchmark).tradeoff, matched_name(table.condition.benchmark)
    return "hallucination" if tradeoff and metric.name in (tradeoff[0], matched) else _name(table, metric)


def _figure(table: Table, row: Row, metric: Metric) -> str:
    """A row's value, and of a rate of hallucination at what coverage, where that is known."""
    if _what(table, metric) != "hallucination":
        return _value(row, metric)
    named, cover = f"{_name(table, metric)} {_value(row, metric)}", _cover(table)
    if cover is None or not math.isfinite(row.cells[cover.name].value):
        return named
    if metric.name != matched_name(table.condition.benchmark):
        return f"{named} at {_name(table, cover)} {_value(row, cover)}"
    at = next((other for other in table.rows if other.label == BASE), row)
    return f"{named} at the coverage of base, {_name(table, cover)} {_value(at, cover)}"


def _cover(table: Table) -> Metric | None:
    """The metric of coverage, if the benchmark has one."""
    tradeoff = declared(table.condition.benchmark).tradeoff
    return next((m for m in table.metrics if tradeoff and m.name == tradeoff[1]), None)


def _worse(table: Table, metric: Metric) -> str:
    """Which methods are worse than base."""
    worse = [
        row.label
        for row in table.rows
        if (found := row.cells[metric.name].versus.get(BASE))
        and better(found, metric, row.cells[metric.name].holm.get(BASE, math.nan)) is False
    ]
    return f"worse by more than noise: {', '.join(worse)}" if worse else "none is worse by more than noise"


def _against(row: Row, reference: str, metric: Metric) -> str:
    """How a row differs from the one that stands for ``reference``; nothing where there is none."""
    difference, cell = row.cells[metric.name].versus.get(reference), row.cells[metric.name]
    if difference is None:
        return ""
    other, p = row.references[reference], cell.holm.get(reference, math.nan)
    if not math.isfinite(difference.value):
        return f"the difference to {other} cannot be computed"
    if not math.isfinite(p + difference.low):  # a single image has no interval
        return (
            f"whether the difference to {other} ({signed(difference.value, metric)}) is more than noise cannot be said"
        )
    size = f"{signed(difference.value, metric)}, p {p_text(p)}"
    verdict = better(difference, metric, p)
    if verdict is not None:
        return f"{'better' if verdict else 'worse'} than {other} by more than noise ({size})"
    return f"not distinguishable from {other} ({size})"


def _silence(table: Table, row: Row, metric: Metric) -> list[str]:
    """A warning where less is hallucinated because less is said."""
    tradeoff, cover = declared(table.condition.benchmark).tradeoff, _cover(table)
    if tradeoff is None or cover is None or metric.name != tradeoff[0]:
        return []
    difference = row.cells[cover.name].versus.get(BASE)
    if difference is None or not difference.value < 0:
        return []
    return [
        f"It covers less than base too ({_name(table, cover)} {signed(difference.value, cover)}): `bench --eos-bias "
        "auto` compares at equal coverage."
    ]


def _incomplete(table: Table, rows: Sequence[Row]) -> list[str]:
    """A warning where what the sentence is about was not scored whole."""
    involved = {row.label for row in rows} | {other for row in rows for other in row.references.values()}
    rows = [row for row in table.rows if row.label in involved]
    short = [f"{row.label} {counts(row)}" for row in rows if row.n_scored < row.n]
    doubtful = [f"{row.label} ({', '.join(row.doubts)})" for row in rows if row.doubts]
    return [
        *([f"Not all samples were scored: {', '.join(short)}."] if short else []),
        *([f"Look at the answers before the figures: {'; '.join(doubtful)}."] if doubtful else []),
    ]
