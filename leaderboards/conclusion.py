"""What the tables say, in a sentence or two: who hallucinates least, and whether that is more than noise.

Nothing is claimed that the tables do not test: a row is better where the leaderboard's own two stars say so (interval
without 0, p-value below .05 after Holm's correction over all pairs of rows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards.declared import benchmark_title, declared, matched_name, metric_name
from leaderboards.rows import Row, Table
from leaderboards.run_groups import BASE, DPO
from leaderboards.text import (
    best_rows,
    better,
    counts,
    figure,
    from_row,
    interval,
    number,
    p_text,
    panel_title,
    primary_metric,
    signed,
)

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
    firm = [row.label for row in measured if row.cells[metric.name].bracketed]
    if len(firm) < 2:
        but = f" but that of {firm[0]}" if firm else ""
        return (
            f"{where}: nothing can be said of which is better, all readings of {_name(table, metric)}{but} are "
            "extrapolated: `bench --eos-bias auto` adds the points that are lacking."
        )
    best = [row for row in table.rows if row.label in best_rows(table, metric)]
    if len(best) != 1:
        return f"{where}: no method is better than the others in {_name(table, metric)}, the best are equal."
    (row,) = best
    if row.label == BASE:
        less = "higher" if metric.higher_is_better else "lower"
        lead = f"{where}: no method has a {less} {_what(table, metric)} than base, {_figure(table, row, metric)}"
    else:
        most = "highest" if metric.higher_is_better else "lowest"
        lead = f"{where}: {row.label} has the {most} {_what(table, metric)}, {_figure(table, row, metric)}"
    verdicts = [*_references(table, row, metric), *_from_best(table, row, metric)]
    doubts = [*_silence(table, row, metric), *_incomplete(table, _named(table, row, metric))]
    return " ".join([f"{lead}: {'; '.join(verdicts)}.", *doubts])


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
    return f"{figure(row, metric)}{' %' if metric.unit == '%' else ''}"


def _what(table: Table, metric: Metric) -> str:
    """What a metric measures: hallucination, or what it is called."""
    tradeoff, matched = declared(table.condition.benchmark).tradeoff, matched_name(table.condition.benchmark)
    return "hallucination" if tradeoff and metric.name in (tradeoff[0], matched) else _name(table, metric)


def _figure(table: Table, row: Row, metric: Metric) -> str:
    """A row's value with its interval, and of a rate of hallucination at what coverage, where that is known; from how
    many seeds and samples, and what base has."""
    cell = row.cells[metric.name]
    named = f"{_name(table, metric)} {_value(row, metric)}"
    if math.isfinite(cell.low):
        named += f" {interval(cell.low, cell.high, metric)}"
    cover, base = _cover(table), next((other for other in table.rows if other.label == BASE), None)
    if cover is not None and _what(table, metric) == "hallucination":
        matched = metric.name == matched_name(table.condition.benchmark)
        at = (base or row) if matched else row
        if math.isfinite(at.cells[cover.name].value):
            named += f" at {'the coverage of base, ' if matched else ''}{_name(table, cover)} {_value(at, cover)}"
    seeds = f"{len(row.runs)} seeds, " if len(row.runs) > 1 else ""
    beside = f"; base {_value(base, metric)}" if base is not None and base is not row else ""
    return f"{named} ({seeds}{row.n // max(1, len(row.runs))} samples{beside})"


def _cover(table: Table) -> Metric | None:
    """The metric of coverage, if the benchmark has one."""
    tradeoff = declared(table.condition.benchmark).tradeoff
    return next((m for m in table.metrics if tradeoff and m.name == tradeoff[1]), None)


def _references(table: Table, row: Row, metric: Metric) -> list[str]:
    """How the best row differs from base (or from the row that was asked for), which ``_from_best`` then leaves out."""
    names = [name for name in table.references if name in row.cells[metric.name].versus and name != DPO]
    cell = row.cells[metric.name]
    return [_verdict(row.references[name], cell.versus[name], cell.holm.get(name, math.nan), metric) for name in names]


def _from_best(table: Table, row: Row, metric: Metric) -> list[str]:
    """Which rows are worse than the best one, which are not distinguishable from it, and how small a difference
    would have been seen of each of these."""
    said = {row.references[name] for name in table.references if name in row.references and name != DPO}
    tests = {label: test for label, test in from_row(table, metric, row.label).items() if label not in said}
    worse = [label for label, (difference, p) in tests.items() if better(difference, metric, p) is False]
    unsure = {label: d for label, (d, p) in tests.items() if label not in worse and math.isfinite(d.low)}
    unknown = [label for label, (d, _) in tests.items() if label not in worse and not math.isfinite(d.low)]
    words = []
    if worse:
        checkpoints = [label for label in worse if tests[label][0].kind == "checkpoints"]
        one_seed = f" (as checkpoints: {_all_or(checkpoints, worse)})" if checkpoints else ""
        words.append(f"worse than it: {', '.join(worse)}{one_seed}")
    if unsure:
        seen = max((d.smallest for d in unsure.values() if math.isfinite(d.smallest)), default=math.nan)
        least = f" (smallest visible difference {number(seen, metric)})" if math.isfinite(seen) else ""
        words.append(f"not distinguishable from it: {', '.join(unsure)}{least}")
    if unknown:
        words.append(f"nothing can be said of {', '.join(unknown)}")
    return words or ([] if said else ["there is nothing to compare it with"])


def _named(table: Table, best: Row, metric: Metric) -> list[Row]:
    """The rows that the sentence is about: the best one, and those that it is compared with."""
    return [row for row in table.rows if row is best or row.label in from_row(table, metric, best.label)]


def _all_or(some: Sequence[str], every: Sequence[str]) -> str:
    return "one seed each" if len(some) == len(every) else ", ".join(some)


def _verdict(other: str, difference: Difference, p: float, metric: Metric) -> str:
    """How the best row differs from another one, in words."""
    if not math.isfinite(difference.value):
        return f"the difference to {other} cannot be computed"
    if not math.isfinite(p + difference.low):  # a single image has no interval
        size = signed(difference.value, metric)
        return f"whether the difference to {other} ({size}) is more than noise cannot be said"
    size = f"{signed(difference.value, metric)}, p {p_text(p)}"
    disagree = ", the seeds disagree in sign" if difference.signs_differ else ""
    verdict = better(difference, metric, p)
    if verdict is None:
        least = (
            f", smallest visible {number(difference.smallest, metric)}" if math.isfinite(difference.smallest) else ""
        )
        return f"not distinguishable from {other} ({size}{least}{disagree})"
    if difference.kind == "checkpoints":
        return f"it and {other}, these two checkpoints differ ({size}; one seed says nothing of the method)"
    return f"{'better' if verdict else 'worse'} than {other} ({size}{disagree})"


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
