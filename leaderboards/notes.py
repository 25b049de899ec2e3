"""What is said below tables: how to read them, how often two seeds of one method differ, what is not in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.protocols.benchmark import Metric
from leaderboards.declared import benchmark_title, metric_name
from leaderboards.evaluators import different_evaluators, rules_only
from leaderboards.extrapolation import not_bracketed
from leaderboards.rows import Row, Table
from leaderboards.text import is_matched, panel_title, primary_metric, table_title

NOTE = (
    "Figures are means over seeds with their 95 % interval over samples (images whole) and, where a method has "
    "several, training seeds; ± the standard deviation over seeds. Δ is the paired difference on common samples; * "
    "marks an interval without 0, ** one whose p-value is below .05 as well after Holm's correction over all pairs of "
    "rows in that metric (with Shaffer's counts)."
)
PRIMARY = "Each benchmark is judged by one figure ({}); what the others show is exploratory."
CHECKPOINTS = "Where a side has a single seed, a star says that these checkpoints differ, not that the methods do."
MATCHED = (
    "{} is read off each method's coverage curve (decoding with a bias on the end-of-sequence "
    "logit) where it names as many of the objects as base does: silence cannot buy it."
)
OVER_GROUPS = "Metrics over groups: the interval resamples groups (images, where each group lies within one image)."


def note(tables: Sequence[Table], *, with_a_a: bool = True) -> str:
    """How to read these tables; ``with_a_a``: and how often two seeds of one method differ (``a_a_lines``)."""
    matched = {
        metric_name(table.condition.benchmark, metric.name): None
        for table in tables
        for metric in table.metrics
        if is_matched(table, metric)
    }
    groups = over_groups(metric for table in tables for metric in table.metrics)
    judged = {
        f"{benchmark_title(table.condition.benchmark)}: {metric_name(table.condition.benchmark, metric.name)}": None
        for table in tables
        if (metric := primary_metric(table)) is not None
    }
    return " ".join(
        [
            NOTE,
            *([PRIMARY.format(", ".join(judged))] if judged else []),
            *of_checkpoints(tables),
            *groups,
            *map(MATCHED.format, matched),
            *(a_a_lines(tables) if with_a_a else []),
            *not_bracketed(tables),
            *evaluator_lines(tables),
            *_not_comparable(tables),
            *trained_on(tables),
            *not_shown(tables),
        ]
    )


def evaluator_lines(tables: Sequence[Table]) -> list[str]:
    """Sentences on marked official figures, of those metrics that a short table shows, and on several evaluators."""
    short = [replace(table, metrics=table.headline) for table in tables]
    return [*rules_only(short), *different_evaluators(tables)]


def of_checkpoints(tables: Sequence[Table]) -> list[str]:
    """The sentence on differences of which a side has a single seed; none where there are none."""
    kinds = {d.kind for t in tables for row in t.rows for cell in row.cells.values() for d in cell.versus.values()}
    return [CHECKPOINTS] if "checkpoints" in kinds else []


def a_a_lines(tables: Sequence[Table]) -> list[str]:
    """Of each panel with several seeds a method how many pairs of seeds of one method are called different, over the
    short tables: 5 % are by chance, where the test is right. None without such a panel."""
    panels = dict.fromkeys(table.panel for table in tables)
    rates = {panel: a_a_rate([table for table in tables if table.panel == panel]) for panel in panels}
    return [f"A/A{f' ({panel_title(panel)})' if panel else ''}: {rate}" for panel, rate in rates.items() if rate]


def a_a_rate(tables: Sequence[Table]) -> str:
    """How often two seeds of one method are called different in the short tables of a panel; "" without such seeds."""
    rates = [table.a_a[metric.name] for table in tables for metric in table.headline if metric.name in table.a_a]
    called, pairs = (sum(rate[i] for rate in rates) for i in (0, 1))
    if not pairs:
        return ""
    share = f"{100 * called / pairs:.0f} %; 5 % by chance"
    return f"two seeds of one method differ in {called} of {pairs} comparisons ({share})."


def not_shown(tables: Sequence[Table]) -> list[str]:
    """Sentences on what the filters and `db hide` leave out of the tables and how it counts; none without them."""
    seen = {row.label for table in tables for row in table.rows}
    left_out = _each(
        [f"{name} ({benchmark_title(table.condition.benchmark)})" if name in seen else name for name in table.left_out]
        for table in tables
    )
    partial = _each(table.partial for table in tables)
    hidden = _each(table.hidden for table in tables)
    return [
        *([f"Not shown, but p-values are adjusted over them too: {left_out}."] if left_out else []),
        *([f"Of some runs only: {partial}."] if partial else []),
        *([f"Hidden, so not counted anywhere: {hidden}."] if hidden else []),
    ]


def _each(names: Iterable[Sequence[str]]) -> str:
    """All ``names``, each once."""
    return ", ".join(dict.fromkeys(name for some in names for name in some))


def trained_on(tables: Sequence[Table]) -> list[str]:
    """The sentence on the rows that were trained on images of their benchmark; none where there are none."""
    rows = _each(
        [f"{row.label} on {row.trained_on} of {table_title(table.condition)}" for row in table.rows if row.trained_on]
        for table in tables
    )
    return [f"Trained on images of the benchmark (`contamination` lists them): {rows}."] if rows else []


def over_groups(metrics: Iterable[Metric]) -> list[str]:
    """The sentence on metrics over groups of samples; none where there are no such metrics."""
    return [OVER_GROUPS] if any(metric.groups is not None for metric in metrics) else []


def _not_comparable(tables: Sequence[Table]) -> list[str]:
    """What rows cannot be compared, why and what to do; none where all can.

    Either nothing of one of two rows was scored, or both were scored on different samples.
    """
    unscored, apart = dict[str, None](), dict[frozenset[str], str]()
    for table, row, other in _without_common_samples(tables):
        empty = [each.label for each in (row, other) if not each.n_scored]
        unscored.update((f"{label} on {table_title(table.condition)}", None) for label in empty)
        if not empty:
            apart.setdefault(frozenset((row.label, other.label)), f"{row.label} and {other.label}")
    said = []
    if unscored:
        said.append(f"No differences (–) of {_first(unscored)}: no answer was scored; `show RUN` says why.")
    if apart:
        pairs = _first(apart.values(), " pairs")
        said.append(f"No differences (–) of {pairs}: no sample was scored for both; `bench` both on the same.")
    return said


def _without_common_samples(tables: Sequence[Table]) -> Iterator[tuple[Table, Row, Row]]:
    """Every row and one that it is to be compared with, where no sample was scored for both."""
    for table in tables:
        rows, metrics = {row.label: row for row in table.rows}, [m for m in table.metrics if not is_matched(table, m)]
        for row in table.rows:
            for name, other in row.references.items():
                versus = [cell.versus for cell in (row.cells[metric.name] for metric in metrics) if name in cell.versus]
                if any(not differences[name].n for differences in versus):
                    yield table, row, rows[other]


def _first(named: Iterable[str], kind: str = "") -> str:
    """The first three, and how many more there are."""
    names = list(named)
    return "; ".join(names[:3]) + (f" and {len(names) - 3} more{kind}" if len(names) > 3 else "")
