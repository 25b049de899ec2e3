"""From the store's evaluations to the rows of a leaderboard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.protocols.benchmark import Metric
from harness.stats import Difference, holm, mean_and_spread
from harness.store import AlignmentRecord, EvaluationRecord
from leaderboards import coverage
from leaderboards.condition import Condition
from leaderboards.declared import benchmark_order, headline, shown_metrics
from leaderboards.members import Members, members_by_condition, without_repeated
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

SUSPECT = ("empty", "cut")
"""Answers that are counted beside the figures, as ``harness.evaluation.spoken`` names them."""
DOUBTFUL = 2.0
"""Per cent of them above which a row is marked, as it is for samples that failed."""


@dataclass(frozen=True)
class Cell:
    """A figure of a row: the mean over seeds, its 95 % interval over samples, and apart from it the seeds' spread.

    ``spread`` is the standard deviation over training seeds (NaN for one). ``versus`` holds the paired difference to
    each reference row, ``holm`` its p-value adjusted over all methods of the table, whether they are shown or not.
    Of a figure that is read off a curve ``extrapolated`` is the share of resampling draws and seeds in which it lies
    beyond the curve's ends, and ``bracketed`` whether it can be relied on (``leaderboards.coverage``).
    """

    value: float
    low: float
    high: float
    spread: float
    versus: Mapping[str, Difference]
    holm: Mapping[str, float] = field(default_factory=dict)
    extrapolated: float = 0.0
    bracketed: bool = True


@dataclass(frozen=True)
class Row:
    """One method: its runs (one per seed), how many samples were scored and failed (summed over seeds), its figures.

    ``answers`` counts those that look like a broken model's (SUSPECT), None where an older version did not; ``doubts``
    says what there is too much of. ``references`` says which row stands for each of REFERENCES: "dpo lr=1e-06" for
    "dama lr=1e-06", if there is one.
    """

    label: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    n: int
    n_scored: int
    n_failed: int
    cells: Mapping[str, Cell]
    references: Mapping[str, str]
    answers: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def doubts(self) -> tuple[str, ...]:
        """The shares of answers that are empty or cut, above ``DOUBTFUL``, and that all of a run say the same."""
        shares = {name: 100 * (self.answers.get(name) or 0) / max(self.n, 1) for name in SUSPECT}
        said = [f"{share:.0f} % {name}" for name, share in shares.items() if share > DOUBTFUL]
        return (*said, *(["all the same"] if self.answers.get("same") else []))

    @property
    def whole(self) -> bool:
        """Whether every sample was scored, and the answers look like those of a sound model."""
        return self.n_scored == self.n and not self.doubts


@dataclass(frozen=True)
class Table:
    """One panel (condition of the training data) of one benchmark condition; ``metrics``: the columns, in order.

    What is not in ``rows``: ``left_out``, methods that p-values are adjusted over all the same; ``partial``, shown rows
    of some of their runs ("dpo (1 of 2 runs)"); ``hidden``, runs that were hidden and are not counted.
    """

    panel: str
    condition: Condition
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

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

    One that holds nothing of its panel, only models shown beside its rows, is left out where another panel's has them.

    Args:
        snapshot: what is stored.
        benchmarks: only the tables of these.
        short: leave out the metrics that no short table, chart or report shows: most of the time goes into them.
        curve: also the tables whose decoding has a bias on the end-of-sequence logit.
        resamples: of each bootstrap and permutation test.
    """
    tables = []
    found = {panel: members_by_condition(snapshot, panel) for panel in snapshot.groups.panels}
    for panel, members_of in without_repeated(found, snapshot.all_groups).items():
        for condition in sorted(members_of, key=_condition_order):
            if (condition.eos_bias and not curve) or (benchmarks is not None and condition.benchmark not in benchmarks):
                continue
            members = members_of[condition]
            metrics = snapshot.metrics(next(e for seeds in members.seeds.values() for e in seeds.values()))
            if short:
                shown = shown_metrics(condition.benchmark, [metric.name for metric in metrics])
                metrics = [metric for metric in metrics if metric.name in shown]
            scored = _scored_metrics(condition.benchmark, members, metrics, snapshot.verdicts)
            tables.append(_table(panel, condition, members, snapshot.all_groups, scored, resamples))
    return tables


def _condition_order(condition: Condition) -> tuple[tuple[int, str], str, str, float]:
    return benchmark_order(condition.benchmark), condition.version, condition.judge, abs(condition.eos_bias)


@dataclass(frozen=True)
class ScoredMetrics:
    """Metrics of a table and what they are computed from, by label; a label without scores has none of them.

    ``tradeoff``: what the one metric is read off the curve of; None of others.
    """

    metrics: Sequence[Metric]
    scores: Mapping[str, Scores]
    tradeoff: coverage.Tradeoff | None = None

    def differences(self, label: str, reference: str, resamples: int) -> list[Difference]:
        """Every metric of the one row minus that of the other."""
        a, b = self.scores[label], self.scores[reference]
        if self.tradeoff is not None:
            return coverage.matched_differences(label, reference, a, b, self.metrics, resamples)
        return differences(a, b, self.metrics, resamples)


def _scored_metrics(
    benchmark: str, members: Members, metrics: Sequence[Metric], verdicts: Verdicts
) -> list[ScoredMetrics]:
    """The benchmark's own metrics, and hallucination at the base's coverage where at least two rows have a curve."""
    seeds, curves = members.seeds, members.curves
    tables = {label: [verdicts(e) for e in group.values()] for label, group in seeds.items()}
    own = [
        ScoredMetrics(same, {label: read_scores(of_seeds, same[0].groups) for label, of_seeds in tables.items()})
        for same in same_groups(metrics)
    ]
    tradeoff = coverage.tradeoff_of(metrics, benchmark)
    if tradeoff is None:
        return own
    drawn = {label: coverage.curve_scores(list(group), curves[label], verdicts) for label, group in seeds.items()}
    known = {label: scores for label, scores in drawn.items() if scores is not None}
    if len(known) < 2:
        return own
    return [*own, ScoredMetrics([tradeoff.matched], coverage.at_shared_points(known), tradeoff)]


def _table(
    panel: str,
    condition: Condition,
    members: Members,
    names: RunGroups,
    scored: Sequence[ScoredMetrics],
    resamples: int,
) -> Table:
    labels = sorted(members.seeds, key=method_order)
    compared = names.references(panel, labels)
    rows = []
    for label in labels:
        references = compared[label]
        cells = {name: cell for each in scored for name, cell in _cells(each, label, references, resamples).items()}
        rows.append(_row(label, list(members.seeds[label].values()), names.alignments, cells, references))
    metrics = tuple(metric for each in scored for metric in each.metrics)
    return Table(
        panel,
        condition,
        metrics,
        rows=tuple(_shown(row, members) for row in _adjusted(rows, metrics) if row.label in members.shown),
        left_out=tuple(label for label in labels if label not in members.shown),
        partial=members.partial,
        hidden=members.hidden,
    )


def _shown(row: Row, members: Members) -> Row:
    """A row without its differences to rows that have no figure that was asked for (--complete)."""
    kept = {name: other for name, other in row.references.items() if other in members.references}
    if len(kept) == len(row.references):
        return row
    cells = {
        name: replace(
            cell,
            versus={to: difference for to, difference in cell.versus.items() if to in kept},
            holm={to: p for to, p in cell.holm.items() if to in kept},
        )
        for name, cell in row.cells.items()
    }
    return replace(row, cells=cells, references=kept)


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
    beyond = coverage.extrapolated(scores, scored.tradeoff, resamples) if scored.tradeoff else (0.0, True)
    cells = {}
    for i, (metric, each) in enumerate(zip(metrics, by_seed(scores, metrics), strict=True)):
        _, spread = mean_and_spread([float(v) for v in each if math.isfinite(v)])
        compared = {name: differences[i] for name, differences in versus.items()}
        figures = float(value[i]), float(low[i]), float(high[i]), spread
        cells[metric.name] = Cell(*figures, compared, extrapolated=beyond[0], bracketed=beyond[1])
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
        answers={name: _summed(evaluations, name) for name in (*SUSPECT, "same")},
    )


def _summed(evaluations: Sequence[EvaluationRecord], name: str) -> int | None:
    """A count of answers over evaluations; None where an older version made one of them."""
    counted = [e.info.get("answers", {}).get(name) for e in evaluations]
    return None if None in counted else sum(counted)
