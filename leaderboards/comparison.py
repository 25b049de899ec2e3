"""`compare A B`: paired differences of two runs on the samples both answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from harness.errors import UsageError, unknown_name
from harness.protocols.benchmark import Metric
from harness.stats import Difference
from harness.store import EvaluationRecord
from leaderboards import coverage
from leaderboards.condition import Condition, newest
from leaderboards.declared import headline, primary_of
from leaderboards.differences import measure
from leaderboards.members import Members, members_by_condition
from leaderboards.run_groups import BASE, RunGroups
from leaderboards.scored_metrics import ScoredMetrics, scored_metrics
from leaderboards.scores import mcnemar
from leaderboards.snapshot import Snapshot
from leaderboards.text import bench_again


@dataclass(frozen=True)
class Comparison:
    """One metric of A and B on their common samples.

    ``p_holm`` is adjusted over all rows of the leaderboard's table of A and B that are compared with B in this metric,
    ``family`` of them; 1 where no table holds both. ``p_mcnemar`` is given for shares of right answers (None
    elsewhere). ``primary``: the one figure that the benchmark is judged by; the others are exploratory, of which the
    short table shows those of the ``headline``.
    """

    condition: Condition
    metric: Metric
    a: float
    b: float
    difference: Difference
    p_holm: float
    p_mcnemar: float | None
    headline: bool
    primary: bool = False
    family: int = 1


def load_comparison(snapshot: Snapshot, a: str, b: str) -> list[Comparison]:
    """Compare ``a`` and ``b`` of a store: runs, methods (all seeds of METHOD or METHOD@PANEL), or the base model.

    Unknown names raise a UsageError.
    """
    names, evaluations = snapshot.groups, snapshot.current
    if not snapshot.evaluations:
        missing = " ".join(snapshot.left_out.values()) or "Run `python cli.py bench` or `demo` first."
        raise UsageError(f"{snapshot.store.path} holds no evaluations to compare. {missing}")
    for name in {a, b} & set(snapshot.stale) - {e.run for e in evaluations}:
        raise UsageError(f"{name} was aligned anew since it was benchmarked: `{bench_again(name)}` first.")
    for name in {a, b} & {e.run for e in snapshot.stored} - {e.run for e in evaluations}:
        raise UsageError(f"{name} has no evaluations to compare. {' '.join(snapshot.left_out.values())}")
    runs = {name: runs_of(name, evaluations, names) for name in (a, b) if name != BASE}
    aligned = [names.alignments[side[0]].panel for side in runs.values() if side[0] in names.alignments]
    panel = panel_of(aligned, names, evaluations) if BASE in (a, b) or aligned else names.panels[0]
    key = partial(names.key, panel=panel)
    named = {run for side in runs.values() for run in side}
    compared = [e for e in evaluations if names.label(e, panel) is not None or e.run in named]
    keys = {e.run: key(e) for e in compared}
    members = {name: [BASE] if name == BASE else [keys[run] for run in runs[name]] for name in (a, b)}
    matched = len({names.bases.get(name) for name in aligned}) < 2
    return compare(snapshot, compared, a, b, members=members, key=key, matched=matched, panel=panel)


def panel_of(aligned: Sequence[str], names: RunGroups, evaluations: Sequence[EvaluationRecord]) -> str:
    """The panel that a comparison is made in: the aligned side's, else the only one that has a base."""
    if aligned:
        return aligned[0]
    based = [panel for panel in names.panels if any(names.label(e, panel) == BASE for e in evaluations)]
    bases = {e.run: e.model for e in evaluations for panel in based if names.label(e, panel) == BASE}
    if len({names.bases.get(panel) for panel in based}) > 1:
        raise UsageError(f"base: several models were aligned; write one of {', '.join(sorted(bases))}.")
    return based[0] if based else names.panels[0]


def runs_of(name: str, evaluations: Sequence[EvaluationRecord], names: RunGroups) -> list[str]:
    """The runs that ``name`` stands for: the run of that name, or the seeds of a method."""
    runs = {e.run for e in evaluations}
    if name in runs:
        return [name]
    method, _, panel = name.partition("@")
    evaluated = [a for a in names.alignments.values() if a.name in runs]
    seeds = [a for a in evaluated if a.method == method and panel in ("", a.panel)]
    panels = list(dict.fromkeys(a.panel for a in seeds))
    if not seeds:
        raise unknown_name("run or method", name, {BASE, *runs, *(a.method for a in evaluated)})
    if len(panels) > 1:
        choices = " or ".join(repr(f"{method}@{p}") for p in panels)
        raise UsageError(f"{name} was aligned on {len(panels)} panels of data: write {choices}.")
    return [a.name for a in seeds]


def compare(
    snapshot: Snapshot,
    evaluations: Sequence[EvaluationRecord],
    a: str,
    b: str,
    *,
    members: Mapping[str, Sequence[str]] | None = None,
    key: Callable[[EvaluationRecord], str] = lambda e: e.run,
    matched: bool = True,
    panel: str | None = None,
) -> list[Comparison]:
    """A minus B for every plain metric of every condition (benchmark, judge, version, data, decoding) both were run in.

    Where both are rows of one table of ``panel``, it is the row A of that table against B, to the digit; else the two
    are compared by themselves.

    ``members`` names the models (seeds) that A and B stand for, by ``key``; without it they are runs. ``matched``: also
    hallucination at the base's coverage, which takes a base that both have in common.
    ``official_*`` figures count failed samples by their own rules, so there is nothing to pair: they are left out.
    """
    grouped = newest(evaluations, key)
    known = {key(e) for e in evaluations}
    sides = []
    for name in (a, b):
        runs = members[name] if members else [name]
        if not known & set(runs):
            raise unknown_name("run", name, known)
        sides.append({c: [group[run] for run in runs] for c, group in grouped.items() if set(runs) <= set(group)})
    shared = [condition for condition in sides[0] if condition in sides[1]]
    if not shared:
        raise UsageError(
            f"{a} and {b} share no benchmark with the same judge, version, data, decoding and settings of the model: "
            "run both again. " + " ".join(snapshot.left_out.values())
        )
    tables = {} if panel is None else members_by_condition(snapshot, panel)
    comparisons: list[Comparison] = []
    for condition in shared:
        pair = [sides[0][condition], sides[1][condition]]
        columns = [m for m in snapshot.metrics(pair[0][0]) if not m.name.startswith("official_")]
        rows = tables.get(condition)
        labels = [row_of(side, rows) for side in pair]
        if rows is None or None in labels or labels[0] == labels[1]:
            labels = [BASE if key(side[0]) == BASE else name for name, side in zip((a, b), pair, strict=True)]
            seeds = {str(label): {key(e): e for e in side} for label, side in zip(labels, pair, strict=True)}
            curves = coverage.curves_of(condition, grouped) if matched else {}
            rows = Members.of(seeds, curves)
        every = scored_metrics(condition.benchmark, rows, columns, snapshot)
        primary = primary_of(condition.benchmark, [metric for scored in every for metric in scored.metrics])
        for scored in every:
            comparisons += _on_condition(condition, str(labels[0]), str(labels[1]), scored, primary)
    if not comparisons:
        raise UsageError(f"{a} and {b} have no sample in common that both scored: bench both without --limit.")
    return comparisons


def row_of(side: Sequence[EvaluationRecord], rows: Members | None) -> str | None:
    """The row that is made of just these evaluations; None where there is none."""
    ids = {e.id for e in side}
    found = rows.seeds.items() if rows is not None else ()
    return next((label for label, seeds in found if {e.id for e in seeds.values()} == ids), None)


def _on_condition(
    condition: Condition, a: str, b: str, scored: ScoredMetrics, primary: Metric | None
) -> list[Comparison]:
    """Every metric of rows ``a`` and ``b`` on the samples that both scored; nothing where there are none."""
    if not {a, b} <= scored.scores.keys():
        return []
    left, right = pair = scored.common(a, b)
    if not left.samples:
        return []
    figures = [measure(side, scored.metrics).figures.mean(axis=0) for side in pair]
    main = headline(condition.benchmark, [metric.name for metric in scored.metrics])
    family = scored.family(b)
    return [
        Comparison(
            condition=condition,
            metric=metric,
            a=float(figures[0][i]),
            b=float(figures[1][i]),
            difference=family[a][i][0],
            p_holm=family[a][i][1],
            p_mcnemar=mcnemar(left, right, metric),
            headline=metric.name in main and not condition.eos_bias,  # a point of the curve is no test of its own
            primary=primary is not None and metric.name == primary.name and not condition.eos_bias,
            family=sum(math.isfinite(tests[i][1]) for tests in family.values()),
        )
        for i, metric in enumerate(scored.metrics)
    ]
