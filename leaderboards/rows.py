"""From the store's evaluations to the rows of a leaderboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.evaluation.fingerprint import Fingerprint, distinct
from harness.evaluation.trivial import TrivialFigures
from harness.protocols.benchmark import Metric
from harness.stats import Difference, mean_and_spread
from harness.store import AlignmentRecord, EvaluationRecord
from leaderboards.condition import Condition
from leaderboards.declared import benchmark_order, headline, shown_metrics
from leaderboards.differences import own_error, plain
from leaderboards.members import Members, members_by_condition, without_repeated
from leaderboards.names import row_named
from leaderboards.run_groups import REFERENCES, RunGroups, method_order
from leaderboards.scored_metrics import ScoredMetrics, Tested, best_row, scored_metrics
from leaderboards.scores import RESAMPLES, intervals
from leaderboards.snapshot import Snapshot
from leaderboards.trained_on import trained_on

SUSPECT = ("empty", "cut")
"""Answers that are counted beside the figures, as ``harness.evaluation.spoken`` names them."""
DOUBTFUL = 2.0
"""Per cent of them above which a row is marked, as it is for samples that failed."""


def references_of(against: str | None) -> tuple[str, ...]:
    """What rows are compared with: the one that was asked for, else REFERENCES."""
    return REFERENCES if against is None else (against,)


@dataclass(frozen=True)
class Cell:
    """A figure of a row: the mean over seeds and its 95 % interval, over samples and, of a method of several, seeds.

    The two parts of the interval add as squares, on either side of the figure (MOVER: Zou and Donner 2008, eq. 2), so
    that what the samples leave open may reach further up than down.

    ``spread`` is the standard deviation over training seeds (NaN for one). ``versus`` holds the paired difference to
    each reference row, ``holm`` its p-value adjusted over all pairs of rows, whether they are shown or not.
    Of a figure that is read off a curve ``extrapolated`` is the share of resampling draws and seeds in which it lies
    beyond the curve's ends, and ``bracketed`` whether it can be relied on (``leaderboards.coverage``).
    ``samples`` and ``seeds`` are the half-widths of the figure's 95 % interval from the samples alone and from the
    training seeds (NaN where they are not counted), ``by_seed`` the figure of every seed.
    """

    value: float
    low: float
    high: float
    spread: float
    versus: Mapping[str, Difference]
    holm: Mapping[str, float] = field(default_factory=dict)
    extrapolated: float = 0.0
    bracketed: bool = True
    samples: float = math.nan
    seeds: float = math.nan
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """One method: its runs (one per seed), how many samples were scored and failed (summed over seeds), its figures.

    ``answers`` counts those that look like a broken model's (SUSPECT), None where an older version did not; ``doubts``
    says what there is too much of. ``references`` says which row stands for each of REFERENCES: "dpo lr=1e-06" for
    "dama lr=1e-06", if there is one. ``evaluators``: those of its runs, each once. ``trained_on``: of how many images.
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
    evaluators: tuple[Fingerprint, ...] = ()
    trained_on: int | None = None

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
    ``against``: the row that all others are compared with, where one was asked for (None: REFERENCES). ``a_a``: by
    metric how many pairs of seeds of one method are called different at 5 %, and of how many pairs. ``trivial``: the
    figures of answers that need no model, which are no rows: ranked and compared with nothing. ``pairs``: by metric of
    a shown row and any other that it may be compared with (A, B) the difference A - B, and its p-value adjusted over
    all pairs of rows.
    """

    panel: str
    condition: Condition
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    left_out: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    against: str | None = None
    a_a: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    trivial: TrivialFigures = field(default_factory=dict)
    pairs: Mapping[str, Mapping[tuple[str, str], Tested]] = field(default_factory=dict)

    @property
    def references(self) -> tuple[str, ...]:
        """What rows are compared with, by the names under which ``Cell.versus`` holds it."""
        return references_of(self.against)

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
    against: str | None = None,
    resamples: int = RESAMPLES,
) -> list[Table]:
    """One table per panel and condition, panels in the order of their first run, each ordered by benchmark.

    One that holds nothing of its panel, only models shown beside its rows, is left out where another panel's has them.

    Args:
        snapshot: what is stored.
        benchmarks: only the tables of these.
        short: leave out the metrics that no short table, chart or report shows: most of the time goes into them.
        curve: also the tables whose decoding has a bias on the end-of-sequence logit.
        against: the row (or the run of a row of one) that all others are compared with, in the tables that have it,
            instead of REFERENCES. Where a table has neither, it is the row with the best primary figure.
        resamples: of each bootstrap.
    """
    tables = []
    found = {panel: members_by_condition(snapshot, panel) for panel in snapshot.groups.panels}
    for panel, members_of in without_repeated(found, snapshot.all_groups).items():
        for condition in sorted(members_of, key=_condition_order):
            if (condition.eos_bias and not curve) or (benchmarks is not None and condition.benchmark not in benchmarks):
                continue
            members = members_of[condition]
            first = next(e for seeds in members.seeds.values() for e in seeds.values())
            metrics = snapshot.metrics(first)
            if short:
                shown = shown_metrics(condition.benchmark, [metric.name for metric in metrics])
                metrics = [metric for metric in metrics if metric.name in shown]
            scored = scored_metrics(condition.benchmark, members, metrics, snapshot)
            table = _table(panel, condition, members, snapshot.all_groups, scored, against, resamples)
            rows = tuple(replace(r, trained_on=trained_on(members.seeds[r.label], snapshot)) for r in table.rows)
            tables.append(replace(table, rows=rows, trivial=snapshot.trivial(first)))
    return tables


def _condition_order(condition: Condition) -> tuple[tuple[int, str], str, str, float]:
    return benchmark_order(condition.benchmark), condition.version, condition.judge, abs(condition.eos_bias)


def _table(
    panel: str,
    condition: Condition,
    members: Members,
    names: RunGroups,
    scored: Sequence[ScoredMetrics],
    against: str | None,
    resamples: int,
) -> Table:
    labels = sorted(members.seeds, key=method_order)
    compared = names.references(panel, labels)
    against = row_named(against, members, panel, of_one_run=True)
    if against is None and not any(compared.values()):
        against = best_row(condition.benchmark, scored)
    if against is not None:
        compared = {label: {against: against} if label != against else {} for label in labels}
    rows = []
    for label in labels:
        references = compared[label]
        cells = {name: cell for each in scored for name, cell in _cells(each, label, references, resamples).items()}
        rows.append(_row(label, list(members.seeds[label].values()), names.alignments, cells, references))
    metrics = tuple(metric for each in scored for metric in each.metrics)
    shown = tuple(_shown(row, members) for row in rows if row.label in members.shown)
    return Table(
        panel,
        condition,
        metrics,
        rows=shown,
        left_out=tuple(label for label in labels if label not in members.shown),
        partial=members.partial,
        hidden=members.hidden,
        against=against,
        a_a={name: rate for each in scored for name, rate in each.a_a.items()},
        pairs={name: tests for each in scored for name, tests in _pairs(each, members).items()},
    )


def _pairs(scored: ScoredMetrics, members: Members) -> dict[str, dict[tuple[str, str], Tested]]:
    """``Table.pairs`` of the metrics of ``scored``."""
    ways = [way for way in scored.tested if way[0] in members.shown and way[1] in members.references]
    return {metric.name: {way: scored.tested[way][i] for way in ways} for i, metric in enumerate(scored.metrics)}


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
    scores, measured = scored.scores[label], scored.row(label)
    value, low, high = intervals(scores, metrics, resamples)
    seeds = own_error(measured, scored.seed_variance).seeds
    versus = {name: scored.tested[label, row] for name, row in references.items() if row in scored.scores}
    beyond = scored.extrapolated(label, scores)
    cells = {}
    for i, metric in enumerate(metrics):
        by_seed = tuple(measured.figures[:, i].tolist())
        more = 0.0 if math.isnan(seeds[i]) else float(seeds[i])
        at, below, above = (float(x) for x in (value[i], value[i] - low[i], high[i] - value[i]))
        cells[metric.name] = Cell(
            at,
            *metric.within(at, at - math.hypot(below, more), at + math.hypot(above, more)),
            mean_and_spread([figure for figure in by_seed if math.isfinite(figure)])[1],
            {name: tests[i][0] for name, tests in versus.items()},
            {name: tests[i][1] for name, tests in versus.items()},
            samples=float(high[i] - low[i]) / 2,
            seeds=plain(seeds[i]),
            by_seed=by_seed,
            extrapolated=beyond[0],
            bracketed=beyond[1],
        )
    return cells


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
        evaluators=distinct(evaluations),
    )


def _summed(evaluations: Sequence[EvaluationRecord], name: str) -> int | None:
    """A count of answers over evaluations; None where an older version made one of them."""
    counted = [e.info.get("answers", {}).get(name) for e in evaluations]
    return None if None in counted else sum(counted)
