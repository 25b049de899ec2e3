"""Methods trained from several base models with the same seeds: figures, and differences with the bases as clusters.

A figure is called BENCHMARK.METRIC ("object_halbench.chair_i_matched"), or gap.NAME (``GAPS``): of the held-out pairs,
whose reward gaps were recorded when training ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.errors import UsageError, unknown_name
from harness.evaluation.metrics import Scored
from harness.models.spec import model_id
from harness.protocols.benchmark import Metric, ratio
from harness.stats import (
    Array,
    Difference,
    SeedVariance,
    base_variance,
    error,
    holm,
    jackknife_variance,
    pooled_seed_variance,
)
from harness.store import AlignmentRecord, EvaluationRecord
from leaderboards import coverage
from leaderboards.condition import Condition, newest
from leaderboards.declared import matched_name
from leaderboards.differences import Measured, counted_groups, measure, plain
from leaderboards.reward_gaps import TERCILES, finite_gaps, hardness_of, probed, terciles
from leaderboards.run_groups import BASE
from leaderboards.scores import Scores, flat, only, read_scores, scored_samples, seed_statistic
from leaderboards.snapshot import Snapshot
from leaderboards.verdict_table import VerdictTable

GAP = "gap"
EASY, HARD = TERCILES[-1], TERCILES[0]
GAPS: tuple[Metric, ...] = (
    *(Metric(name, ratio(name, f"{name} pairs", 1.0), True, unit="nats") for name in reversed(TERCILES)),
    Metric(
        "easy_less_hard",
        lambda sums: ratio(EASY, f"{EASY} pairs", 1.0)(sums) - ratio(HARD, f"{HARD} pairs", 1.0)(sums),
        None,
        unit="nats",
    ),
    Metric("accuracy", ratio("right", "pairs"), True),
)
"""The mean reward gap of the easy, middle and hard third of the held-out pairs, by CLIP hardness; the first less the
last; and the share of held-out pairs whose gap is above 0."""


@dataclass(frozen=True)
class Crossed:
    """The runs of one row of a panel: of every base, in the same order in all rows, those of the same seeds."""

    panel: str
    label: str
    runs: tuple[tuple[AlignmentRecord, ...], ...]


@dataclass(frozen=True)
class Contrast:
    """The mean of a row over bases and seeds, minus that of ``against`` in the same panel where there is one.

    ``difference.seeds``: what the bases add to the interval. ``by_base``: of every base the mean over its seeds.
    """

    panel: str
    label: str
    against: str | None
    difference: Difference
    by_base: tuple[float, ...]


@dataclass(frozen=True)
class Figure:
    """One figure of crossed rows, measured on the samples that all of them scored.

    ``measured``: by panel and label, a figure a run, base by base. ``left_out``: samples that some run did not score.
    ``beyond``: of a figure that is read off curves, by panel and label the runs whose curve does not reach the base's
    coverage. ``own``: of every base model itself; None of gaps, which are 0 there.
    """

    metric: Metric
    bases: int
    measured: Mapping[tuple[str, str], Measured]
    samples: int
    left_out: int
    beyond: Mapping[tuple[str, str], int]
    own: Measured | None = None

    @property
    def starts(self) -> tuple[float, ...]:
        """The figure of every base model; () where it is not known."""
        return () if self.own is None else tuple(map(plain, self.own.figures[:, 0]))

    def by_base(self, panel: str, label: str) -> tuple[Array, Array]:
        """Means over seeds, [bases], and what each group of samples adds to them, [groups, bases]; of the row ``BASE``
        those of the base models.
        """
        row = self.own if label == BASE and self.own is not None else self.measured[panel, label]
        figures = row.figures[:, 0].reshape(self.bases, -1).mean(axis=1)
        influence = row.influence[:, :, 0]
        return figures, influence.reshape(len(influence), self.bases, -1).mean(axis=2)

    def variance(self, panel: str) -> SeedVariance | None:
        """What bases add to the error of a row of ``panel`` beside others, pooled over the panels of as many seeds."""
        runs = {name: len(row.figures) for (name, _), row in self.measured.items()}
        panels: dict[str, list[tuple[Array, Array]]] = {}
        for name, label in self.measured:
            if runs[name] == runs[panel]:
                panels.setdefault(name, []).append(self.by_base(name, label))
        figures = [np.stack([f for f, _ in rows])[..., None] for rows in panels.values()]
        influence = [np.stack([u for _, u in rows], axis=1)[..., None] for rows in panels.values()]
        return base_variance(figures, influence)

    def contrast(self, panel: str, label: str, against: str | None) -> Contrast:
        """A row, or its difference to another one or to ``BASE``, with the bases as clusters."""
        figures, influence = self.by_base(panel, label)
        if against is not None:
            of_other = self.by_base(panel, against)
            figures, influence = figures - of_other[0], influence - of_other[1]
        if against in (None, BASE):
            seeds, share = pooled_seed_variance([figures[:, None]], [influence[:, :, None]]), 1 / self.bases
        else:
            seeds, share = self.variance(panel), 2 / self.bases
        moved = influence.mean(axis=1)[:, None]
        value = figures.mean(keepdims=True)
        found = error(jackknife_variance(moved), counted_groups(influence[:, :, None] != 0), seeds, share)
        half = found.half[0]
        difference = Difference(
            plain(value[0]), plain(value[0] - half), plain(value[0] + half), plain(found.p(value)[0]), self.samples,
            samples=plain(found.samples[0]), seeds=plain(found.seeds[0]), kind="methods", df=float(found.df[0]),
        )  # fmt: skip
        return Contrast(panel, label, against, difference, tuple(map(plain, figures)))


@dataclass(frozen=True)
class _Read:
    """The metrics that are there, the numbers of every row, what the figure is read off the curve of, and the base
    models' own numbers, where all are stored, with the metric that is theirs.
    """

    metrics: Sequence[Metric]
    scores: Mapping[tuple[str, str], Scores]
    tradeoff: coverage.Tradeoff | None = None
    own: tuple[Scores, Metric] | None = None


def adjusted(contrasts: Sequence[Contrast]) -> list[tuple[Contrast, float]]:
    """Each with its p-value after Holm's correction over all; their smallest differences are at Holm's first level."""
    level = 0.05 / max(1, len(contrasts))
    p = holm([contrast.difference.p for contrast in contrasts])
    at_level = (replace(each, difference=replace(each.difference, level=level)) for each in contrasts)
    return list(zip(at_level, p, strict=True))


def figure_of(snapshot: Snapshot, rows: Sequence[Crossed], name: str) -> Figure:
    """The figure called ``name`` of ``rows``; UsageError where it is unknown, or a run was not benchmarked for it."""
    benchmark, _, metric = name.partition(".")
    if benchmark == GAP:
        read = _Read(GAPS, {(row.panel, row.label): gap_scores(snapshot, row) for row in rows})
    else:
        read = _of_benchmark(snapshot, rows, benchmark, metric)
    chosen = next((each for each in read.metrics if each.name == metric), None)
    if chosen is None:
        raise unknown_name(f"metric of {benchmark}", metric, [each.name for each in read.metrics])
    shared = set.intersection(*map(scored_samples, read.scores.values()))
    left_out = len({sample for each in read.scores.values() for sample in each.samples}) - len(shared)
    kept = {key: only(each, shared) for key, each in read.scores.items()}
    beyond = {} if read.tradeoff is None else {key: _beyond(each, read.tradeoff) for key, each in kept.items()}
    measured = {key: measure(each, [chosen]) for key, each in kept.items()}
    own = None if read.own is None else measure(only(read.own[0], shared), [read.own[1]])
    return Figure(chosen, len(rows[0].runs), measured, len(shared), left_out, beyond, own)


def _beyond(scores: Scores, tradeoff: coverage.Tradeoff) -> int:
    return int((seed_statistic(scores, [tradeoff.beyond])(flat(scores).sum(axis=0)) > 0).sum())


def _of_benchmark(snapshot: Snapshot, rows: Sequence[Crossed], benchmark: str, metric: str) -> _Read:
    runs = {run.name for row in rows for of_base in row.runs for run in of_base}
    bases = {_start(of_base) for row in rows for of_base in row.runs}
    of_bases = {e.run: model_id(e.model) for e in snapshot.current if model_id(e.model) in bases}
    stored = [e for e in snapshot.current if e.benchmark == benchmark and (e.run in runs or e.run in of_bases)]
    grouped = newest(stored, lambda e: of_bases.get(e.run, e.run))
    condition = _condition(grouped, runs, benchmark)
    evaluations = grouped[condition]
    metrics = snapshot.metrics(evaluations[next(iter(runs))])
    tradeoff = coverage.tradeoff_of(metrics, benchmark) if metric == matched_name(benchmark) else None
    own_name = metric if tradeoff is None else tradeoff.rate.name  # at its own coverage the base is read as it is
    own_metric = next((each for each in metrics if each.name == own_name), None)
    starts = [evaluations[_start(of_base)] for of_base in rows[0].runs if _start(of_base) in evaluations]
    own = None
    if own_metric is not None and len(starts) == len(rows[0].runs):
        own = read_scores([snapshot.verdicts(e) for e in starts]), own_metric
    if tradeoff is None:
        scores = {(row.panel, row.label): _plain_scores(snapshot, row, evaluations) for row in rows}
        return _Read(metrics, scores, own=own)
    curves = coverage.curves_of(condition, grouped)
    scores = {(row.panel, row.label): _curve_scores(snapshot, row, curves) for row in rows}
    return _Read([tradeoff.matched], scores, tradeoff, own)


def _start(runs: Sequence[AlignmentRecord]) -> str:
    """The base model of runs that started from one."""
    return model_id(str(runs[0].config["model"]))


def _condition(
    grouped: Mapping[Condition, Mapping[str, EvaluationRecord]], runs: set[str], benchmark: str
) -> Condition:
    """The condition under which all ``runs`` were benchmarked, the newest of several."""
    whole = [c for c, each in grouped.items() if not c.eos_bias and runs <= each.keys()]
    if not whole:
        raise UsageError(
            f"{benchmark}: evaluations of these runs are missing, or of several versions or data: run the claim again."
        )
    return max(whole, key=lambda c: max(e.id for e in grouped[c].values()))


def _plain_scores(snapshot: Snapshot, row: Crossed, evaluations: Mapping[str, EvaluationRecord]) -> Scores:
    return read_scores([snapshot.verdicts(evaluations[run.name]) for of_base in row.runs for run in of_base])


def _curve_scores(snapshot: Snapshot, row: Crossed, curves: Mapping[str, Mapping[float, EvaluationRecord]]) -> Scores:
    """The curves of a row, those of each base read at that base's coverage."""
    parts = []
    for of_base in row.runs:
        base = curves.get(_start(of_base), {})
        names = [run.name for run in of_base]
        scores = coverage.curve_scores(names, {**curves, BASE: base}, snapshot.verdicts)
        if scores is None:
            raise UsageError(f"{row.label}: no coverage curve, or none of its base model: run the claim again.")
        parts.append(scores)
    return joined(parts)


def joined(parts: Sequence[Scores]) -> Scores:
    """The seeds of all ``parts``, which are of the same samples, one part after the other."""
    first = parts[0]
    if any((part.samples, part.columns) != (first.samples, first.columns) for part in parts):
        raise UsageError("The runs from different base models were asked other samples, or at other EOS biases.")
    values = np.concatenate([part.values for part in parts])
    return replace(first, values=values, scored=np.all([part.scored for part in parts], axis=0))


def gap_scores(snapshot: Snapshot, row: Crossed) -> Scores:
    """The last reward gaps of the held-out pairs of every run; each base has pairs of its own."""
    tables = [_last_gaps(snapshot, run, number) for number, of_base in enumerate(row.runs) for run in of_base]
    scores = read_scores(tables)
    return replace(scores, scored=np.ones_like(scores.scored))  # another base's pairs count for nothing


def _last_gaps(snapshot: Snapshot, run: AlignmentRecord, base: int) -> VerdictTable:
    gaps = [gap for gap in finite_gaps(snapshot, run.name) if gap[1] == "heldout"]
    third = terciles(probed(hardness_of(snapshot, run, snapshot.alignments, "heldout"), gaps, "heldout"))
    last = max((step for step, *_ in gaps), default=0)
    rows = [
        Scored(f"{base}:{pair}", 0, "", {third[pair]: gap, f"{third[pair]} pairs": 1.0, "right": gap > 0, "pairs": 1.0})
        for step, _, pair, gap in gaps
        if step == last and pair in third
    ]
    if not rows or len(rows) < len(third):
        raise UsageError(
            f"{run.name}: of {len(third)} held-out pairs with a CLIP hardness {len(rows)} have a reward gap that is a "
            "number at the end of training."
        )
    return VerdictTable.of(rows)
