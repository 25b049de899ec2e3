"""From the store's evaluations to the rows of a leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.benchmark import Metric
from harness.run import metrics_of
from harness.stats import Difference, holm, mean_and_spread
from harness.store import AlignmentRecord, EvaluationRecord, Store
from leaderboards.scores import RESAMPLES, Scores, Verdicts, differences, intervals, read_scores

Metrics = Callable[[EvaluationRecord], Sequence[Metric]]

HEADLINES: dict[str, tuple[str, ...]] = {
    "object_halbench": ("chair_s_refine", "chair_i", "recall", "mentions"),
    "amber": ("chair", "cover", "hal", "cog", "f1", "mentions"),
    "mmhal": ("score", "hallucination_rate", "informativeness"),
    "mm_vet": ("total", "ocr", "know", "gen", "spat", "math"),
    "llava_bench": ("all", "conv", "detail", "complex"),
    "pope": ("f1", "random_f1", "popular_f1", "adversarial_f1", "random_yes_ratio"),
}
"""Columns of the short tables. Coverage and mentions stand beside hallucination: a model that says less errs less."""

CHARTED = ("nonhal_response", "nonhal_mention")
"""Further metrics that charts are drawn from."""

FIRST = ("base", "dpo", "hardness", "gap", "dama")
"""Rows come in this order, then the others by name, each followed by its variants ("gap variant=code")."""

REFERENCES = ("dpo", "base")
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
    """One method: its runs (one per seed), how many samples were scored and failed (summed over seeds), its figures."""

    label: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    n: int
    n_scored: int
    n_failed: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Condition:
    """What all rows of a table share: figures of different judges, versions, data or decodings are never mixed."""

    benchmark: str
    version: str
    mode: str
    judge: str
    data_hash: str
    decoding: tuple[tuple[str, str], ...]

    @property
    def eos_bias(self) -> float:
        """The bias on the end-of-sequence logit; tables where it is not 0 are points of the coverage curve."""
        return float(dict(self.decoding).get("eos_bias", "0"))


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
    by_name = {a.name: a for a in alignments}
    panels = list(dict.fromkeys(a.panel for a in alignments)) or [""]
    grouped: dict[Condition, dict[str, EvaluationRecord]] = defaultdict(dict)
    for evaluation in evaluations:
        grouped[condition_of(evaluation)][evaluation.run] = evaluation  # the newest evaluation of a run stands
    order = sorted(grouped, key=lambda c: (_rank(c.benchmark, HEADLINES), c.version, c.judge, abs(c.eos_bias)))
    tables = []
    for panel in panels:
        for condition in order:
            if condition.eos_bias and not curve:
                continue
            chosen = [e for e in grouped[condition].values() if _in_panel(e, by_name, panel)]
            if chosen:
                tables.append(
                    _table(panel, condition, chosen, by_name, verdicts=verdicts, metrics=metrics, resamples=resamples)
                )
    return tables


def condition_of(evaluation: EvaluationRecord) -> Condition:
    """The condition an evaluation was made under."""
    decoding = tuple(sorted((name, str(value)) for name, value in evaluation.decoding.items()))
    e = evaluation
    return Condition(e.benchmark, e.version, e.mode, e.judge, e.data_hash, decoding)


def _in_panel(evaluation: EvaluationRecord, alignments: Mapping[str, AlignmentRecord], panel: str) -> bool:
    """A model that was not aligned here (base) belongs to every panel."""
    alignment = alignments.get(evaluation.alignment or "")
    return alignment is None or alignment.panel == panel


def _table(
    panel: str,
    condition: Condition,
    evaluations: Sequence[EvaluationRecord],
    alignments: Mapping[str, AlignmentRecord],
    *,
    verdicts: Verdicts,
    metrics: Metrics,
    resamples: int,
) -> Table:
    seeds: dict[str, list[EvaluationRecord]] = defaultdict(list)
    for evaluation in evaluations:
        alignment = alignments.get(evaluation.alignment or "")
        seeds[alignment.method if alignment else evaluation.run].append(evaluation)
    columns = tuple(metrics(evaluations[0]))
    scores = {label: read_scores([verdicts(e) for e in group]) for label, group in seeds.items()}
    references = {name: scores[name] for name in REFERENCES if name in scores}
    labels = sorted(seeds, key=lambda label: (_rank(label.split(" ")[0], FIRST), label))
    rows = [
        _row(label, seeds[label], alignments, columns, scores=scores[label], references=references, resamples=resamples)
        for label in labels
    ]
    return Table(panel, condition, columns, tuple(_adjusted(rows, columns)))


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
    metrics: Sequence[Metric],
    *,
    scores: Scores,
    references: Mapping[str, Scores],
    resamples: int,
) -> Row:
    value, low, high = intervals(scores, metrics, resamples)
    versus = {
        name: differences(scores, reference, metrics, resamples)
        for name, reference in references.items()
        if name != label
    }
    cells = {}
    for i, metric in enumerate(metrics):
        stored = [e.metrics.get(metric.name, {}).get("value") for e in evaluations]
        _, spread = mean_and_spread([v for v in stored if v is not None])
        compared = {name: found[i] for name, found in versus.items()}
        cells[metric.name] = Cell(float(value[i]), float(low[i]), float(high[i]), spread, compared)
    aligned = [alignments[e.alignment] for e in evaluations if e.alignment is not None and e.alignment in alignments]
    return Row(
        label=label,
        runs=tuple(e.run for e in evaluations),
        seeds=tuple(a.seed for a in aligned),
        n=sum(e.n for e in evaluations),
        n_scored=sum(e.n_scored for e in evaluations),
        n_failed=sum(e.n_failed for e in evaluations),
        cells=cells,
    )


def _rank(name: str, known: Iterable[str]) -> tuple[int, str]:
    """Sorts known names first, in their order, then the others by name."""
    places = list(known)
    return (places.index(name) if name in places else len(places), name)
