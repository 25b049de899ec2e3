"""From the store's evaluations to the rows of a leaderboard."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from harness.evaluation.score import metrics_of
from harness.protocols.benchmark import Metric
from harness.stats import Difference, holm, mean_and_spread
from harness.store import AlignmentRecord, EvaluationRecord, Store
from leaderboards import coverage
from leaderboards.condition import Condition, newest
from leaderboards.run_groups import BASE, DPO, RunGroups, run_groups
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

Metrics = Callable[[EvaluationRecord], Sequence[Metric]]

HEADLINES: dict[str, tuple[str, ...]] = {
    "object_halbench": ("chair_s_refine", "chair_i", coverage.NAME, "recall", "mentions"),
    "amber": ("chair", "cover", "hal", "cog", "f1", "mentions"),
    "mmhal": ("score", "hallucination_rate", "informativeness"),
    "mm_vet": ("total", "ocr", "know", "gen", "spat", "math"),
    "llava_bench": ("all", "conv", "detail", "complex"),
    "pope": ("f1", "random_f1", "popular_f1", "adversarial_f1", "random_yes_ratio"),
}
"""Columns of the short tables. Coverage and mentions stand beside hallucination: a model that says less errs less."""

CHARTED = ("nonhal_response", "nonhal_mention")
"""Further metrics that charts are drawn from."""

FIRST = (BASE, DPO, "hardness", "gap", "dama")
"""Rows come in this order, then the others by name, each followed by its variants ("gap variant=code")."""

REFERENCES = (DPO, BASE)
"""Every row is compared with these."""


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
        """The columns of the short table; the first few of a benchmark that names none here."""
        names = HEADLINES.get(self.condition.benchmark, tuple(m.name for m in self.metrics[:6]))
        by_name = {metric.name: metric for metric in self.metrics}
        return tuple(by_name[name] for name in names if name in by_name)


def load_tables(
    store: Store, *, benchmark: str | None = None, curve: bool = False, headline: bool = False
) -> list[Table]:
    """The tables of a store; with ``curve`` also those whose decoding has a bias on the end-of-sequence logit.

    ``headline`` leaves out the metrics that no short table, chart or report shows: most of the time goes into them.
    """

    def metrics(evaluation: EvaluationRecord) -> Sequence[Metric]:
        found = metrics_of(store, evaluation)
        wanted = HEADLINES.get(evaluation.benchmark, tuple(m.name for m in found[:6])) + CHARTED
        return [m for m in found if m.name in wanted] if headline else found

    evaluations = store.evaluations(benchmark=benchmark)
    return build_tables(evaluations, store.alignments(), lambda e: store.verdicts(e.id), metrics, curve=curve)


def build_tables(
    evaluations: Sequence[EvaluationRecord],
    alignments: Sequence[AlignmentRecord],
    verdicts: Verdicts,
    metrics: Metrics,
    *,
    curve: bool = False,
    resamples: int = RESAMPLES,
) -> list[Table]:
    """One table per panel and condition, panels in the order of their first run, each ordered by benchmark."""
    names = run_groups(alignments)
    tables = []
    for panel in names.panels:
        labels = {e.id: names.label(e, panel) for e in evaluations}
        members = [e for e in evaluations if labels[e.id] is not None]
        grouped = newest(members, partial(names.key, panel=panel))
        for condition in sorted(grouped, key=_place):
            if condition.eos_bias and not curve:
                continue
            seeds: dict[str, dict[str, EvaluationRecord]] = defaultdict(dict)
            for key, evaluation in grouped[condition].items():
                seeds[str(labels[evaluation.id])][key] = evaluation
            columns = metrics(next(iter(grouped[condition].values())))
            parts = _parts(seeds, coverage.curves_of(condition, grouped), columns, verdicts)
            tables.append(_table(panel, condition, seeds, names, parts, resamples))
    return tables


def _place(condition: Condition) -> tuple[tuple[int, str], str, str, float]:
    return _rank(condition.benchmark, HEADLINES), condition.version, condition.judge, abs(condition.eos_bias)


@dataclass(frozen=True)
class Part:
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


def _parts(
    seeds: Mapping[str, Mapping[str, EvaluationRecord]],
    curves: Mapping[str, Mapping[float, EvaluationRecord]],
    metrics: Sequence[Metric],
    verdicts: Verdicts,
) -> list[Part]:
    """The benchmark's own metrics, and CHAIR_i at the base's coverage where at least two rows have a curve."""
    own = [
        Part(same, {label: read_scores([verdicts(e) for e in group.values()], same[0].groups)
                    for label, group in seeds.items()})
        for same in same_groups(metrics)
    ]  # fmt: skip
    read = {label: coverage.curve_scores(list(group), curves, verdicts) for label, group in seeds.items()}
    scores = {label: found for label, found in read.items() if found is not None}
    if len(scores) < 2:
        return own
    return [*own, Part([coverage.matched_metric(metrics)], coverage.at_shared_points(scores), matched=True)]


def _table(
    panel: str,
    condition: Condition,
    seeds: Mapping[str, Mapping[str, EvaluationRecord]],
    names: RunGroups,
    parts: Sequence[Part],
    resamples: int,
) -> Table:
    labels = sorted(seeds, key=lambda label: (_rank(label.split(" ")[0], FIRST), label))
    compared = names.references(panel, labels)
    rows = []
    for label in labels:
        references = compared[label]
        cells = {name: cell for part in parts for name, cell in _cells(part, label, references, resamples).items()}
        rows.append(_row(label, list(seeds[label].values()), names.alignments, cells, references))
    metrics = tuple(metric for part in parts for metric in part.metrics)
    return Table(panel, condition, metrics, tuple(_adjusted(rows, metrics)))


def _cells(part: Part, label: str, references: Mapping[str, str], resamples: int) -> dict[str, Cell]:
    """The figures of one row, with their differences to the reference rows that have them too."""
    if label not in part.scores:
        return {metric.name: Cell(math.nan, math.nan, math.nan, math.nan, {}) for metric in part.metrics}
    scores = part.scores[label]
    value, low, high = intervals(scores, part.metrics, resamples)
    versus = {name: part.differences(label, row, resamples) for name, row in references.items() if row in part.scores}
    cells = {}
    for i, (metric, each) in enumerate(zip(part.metrics, by_seed(scores, part.metrics), strict=True)):
        _, spread = mean_and_spread([float(v) for v in each if math.isfinite(v)])
        compared = {name: found[i] for name, found in versus.items()}
        cells[metric.name] = Cell(float(value[i]), float(low[i]), float(high[i]), spread, compared)
    return cells


def _adjusted(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[Row]:
    """``rows`` with p-values adjusted, metric by metric and reference by reference, over the methods compared."""
    found: dict[tuple[int, str], dict[str, float]] = defaultdict(dict)
    for metric in metrics:
        for reference in REFERENCES:
            compared = [(i, row.cells[metric.name].versus.get(reference)) for i, row in enumerate(rows)]
            tests = [(i, difference.p) for i, difference in compared if difference is not None]
            for (i, _), p in zip(tests, holm([p for _, p in tests]), strict=True):
                found[i, metric.name][reference] = p
    return [
        replace(row, cells={name: replace(cell, holm=found[i, name]) for name, cell in row.cells.items()})
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


def _rank(name: str, known: Iterable[str]) -> tuple[int, str]:
    """Sorts known names first, in their order, then the others by name."""
    places = list(known)
    return (places.index(name) if name in places else len(places), name)
