"""From the store's evaluations to the rows of a leaderboard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from harness.protocols.benchmark import Metric
from harness.stats import Difference, holm, mean_and_spread
from harness.store import AlignmentRecord, EvaluationRecord
from leaderboards import coverage
from leaderboards.condition import Condition, newest
from leaderboards.declared import benchmark_order, headline, shown_metrics
from leaderboards.run_groups import REFERENCES, RunGroups, method_order
from leaderboards.scores import (
    RESAMPLES,
    Scores,
    Verdicts,
    by_seed,
    differences,
    intervals,
    read_scores,
    same_groups,
)
from leaderboards.snapshot import Snapshot


@dataclass(frozen=True)
class Cell:
    """A figure of a row: the mean over seeds, its 95 % interval over samples, and apart from it the seeds' spread.

    ``spread`` is the standard deviation over training seeds (NaN for one). ``versus`` holds the paired difference to
    each reference row, ``holm`` its p-value adjusted over the methods of the table.
    """

    value: float
    low: float
    high: float
    spread: float
    versus: Mapping[str, Difference]
    holm: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One method: its runs (one per seed), how many samples were scored and failed (summed over seeds), its figures.

    ``references`` says which row stands for each of REFERENCES: "dpo lr=1e-06" for "dama lr=1e-06", if there is one.
    """

    label: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    n: int
    n_scored: int
    n_failed: int
    cells: Mapping[str, Cell]
    references: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """One panel (condition of the training data) of one benchmark condition; ``metrics``: the columns, in order."""

    panel: str
    condition: Condition
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]

    @property
    def headline(self) -> tuple[Metric, ...]:
        """The columns of the short table."""
        by_name = {metric.name: metric for metric in self.metrics}
        return tuple(by_name[name] for name in headline(self.condition.benchmark, list(by_name)))


def build_tables(
    snapshot: Snapshot,
    *,
    benchmarks: frozenset[str] | None = None,
    short: bool = False,
    curve: bool = False,
    resamples: int = RESAMPLES,
) -> list[Table]:
    """One table per panel and condition, panels in the order of their first run, each ordered by benchmark.

    Args:
        snapshot: what is stored.
        benchmarks: only the tables of these.
        short: leave out the metrics that no short table, chart or report shows: most of the time goes into them.
        curve: also the tables whose decoding has a bias on the end-of-sequence logit.
        resamples: of each bootstrap and permutation test.
    """
    names = snapshot.groups
    evaluations = [e for e in snapshot.evaluations if benchmarks is None or e.benchmark in benchmarks]
    tables = []
    for panel in names.panels:
        labels = {e.id: names.label(e, panel) for e in evaluations}
        members = [e for e in evaluations if labels[e.id] is not None]
        grouped = newest(members, partial(names.key, panel=panel))
        for condition in sorted(grouped, key=_condition_order):
            if condition.eos_bias and not curve:
                continue
            seeds: dict[str, dict[str, EvaluationRecord]] = defaultdict(dict)
            for key, evaluation in grouped[condition].items():
                seeds[str(labels[evaluation.id])][key] = evaluation
            metrics = snapshot.metrics(next(iter(grouped[condition].values())))
            if short:
                shown = shown_metrics(condition.benchmark, [metric.name for metric in metrics])
                metrics = [metric for metric in metrics if metric.name in shown]
            curves = coverage.curves_of(condition, grouped)
            scored = _scored_metrics(condition.benchmark, seeds, curves, metrics, snapshot.verdicts)
            tables.append(_table(panel, condition, seeds, names, scored, resamples))
    return tables


def _condition_order(condition: Condition) -> tuple[tuple[int, str], str, str, float]:
    return benchmark_order(condition.benchmark), condition.version, condition.judge, abs(condition.eos_bias)


@dataclass(frozen=True)
class ScoredMetrics:
    """Metrics of a table and what they are computed from, by label; a label without scores has none of them."""

    metrics: Sequence[Metric]
    scores: Mapping[str, Scores]
    matched: bool = False

    def differences(self, label: str, reference: str, resamples: int) -> list[Difference]:
        """Every metric of the one row minus that of the other."""
        a, b = self.scores[label], self.scores[reference]
        if self.matched:
            return coverage.matched_differences(label, reference, a, b, self.metrics, resamples)
        return differences(a, b, self.metrics, resamples)


def _scored_metrics(
    benchmark: str,
    seeds: Mapping[str, Mapping[str, EvaluationRecord]],
    curves: Mapping[str, Mapping[float, EvaluationRecord]],
    metrics: Sequence[Metric],
    verdicts: Verdicts,
) -> list[ScoredMetrics]:
    """The benchmark's own metrics, and hallucination at the base's coverage where at least two rows have a curve."""
    tables = {label: [verdicts(e) for e in group.values()] for label, group in seeds.items()}
    own = [
        ScoredMetrics(same, {label: read_scores(of_seeds, same[0].groups) for label, of_seeds in tables.items()})
        for same in same_groups(metrics)
    ]
    matched = coverage.matched_metric(metrics, benchmark)
    if matched is None:
        return own
    drawn = {label: coverage.curve_scores(list(group), curves, verdicts) for label, group in seeds.items()}
    known = {label: scores for label, scores in drawn.items() if scores is not None}
    if len(known) < 2:
        return own
    return [*own, ScoredMetrics([matched], coverage.at_shared_points(known), matched=True)]


def _table(
    panel: str,
    condition: Condition,
    seeds: Mapping[str, Mapping[str, EvaluationRecord]],
    names: RunGroups,
    scored: Sequence[ScoredMetrics],
    resamples: int,
) -> Table:
    labels = sorted(seeds, key=method_order)
    compared = names.references(panel, labels)
    rows = []
    for label in labels:
        references = compared[label]
        cells = {name: cell for each in scored for name, cell in _cells(each, label, references, resamples).items()}
        rows.append(_row(label, list(seeds[label].values()), names.alignments, cells, references))
    metrics = tuple(metric for each in scored for metric in each.metrics)
    return Table(panel, condition, metrics, tuple(_adjusted(rows, metrics)))


def _cells(scored: ScoredMetrics, label: str, references: Mapping[str, str], resamples: int) -> dict[str, Cell]:
    """The figures of one row, with their differences to the reference rows that have them too."""
    metrics = scored.metrics
    if label not in scored.scores:
        return {metric.name: Cell(math.nan, math.nan, math.nan, math.nan, {}) for metric in metrics}
    scores = scored.scores[label]
    value, low, high = intervals(scores, metrics, resamples)
    versus = {
        name: scored.differences(label, row, resamples) for name, row in references.items() if row in scored.scores
    }
    cells = {}
    for i, (metric, each) in enumerate(zip(metrics, by_seed(scores, metrics), strict=True)):
        _, spread = mean_and_spread([float(v) for v in each if math.isfinite(v)])
        compared = {name: differences[i] for name, differences in versus.items()}
        cells[metric.name] = Cell(float(value[i]), float(low[i]), float(high[i]), spread, compared)
    return cells


def _adjusted(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[Row]:
    """``rows`` with p-values adjusted, metric by metric and reference by reference, over the methods compared."""
    adjusted: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for metric in metrics:
        for reference in REFERENCES:
            compared = [(i, row.cells[metric.name].versus.get(reference)) for i, row in enumerate(rows)]
            tests = [(i, difference.p) for i, difference in compared if difference is not None]
            for (i, _), p in zip(tests, holm([p for _, p in tests]), strict=True):
                adjusted[i, metric.name][reference] = p
    return [
        replace(row, cells={name: replace(cell, holm=adjusted[i, name]) for name, cell in row.cells.items()})
        for i, row in enumerate(rows)
    ]


def _row(
    label: str,
    evaluations: Sequence[EvaluationRecord],
    alignments: Mapping[str, AlignmentRecord],
    cells: Mapping[str, Cell],
    references: Mapping[str, str],
) -> Row:
    aligned = [alignments[e.alignment] for e in evaluations if e.alignment is not None and e.alignment in alignments]
    return Row(
        label=label,
        runs=tuple(e.run for e in evaluations),
        seeds=tuple(a.seed for a in aligned),
        n=sum(e.n for e in evaluations),
        n_scored=sum(e.n_scored for e in evaluations),
        n_failed=sum(e.n_failed for e in evaluations),
        cells=cells,
        references=references,
    )
