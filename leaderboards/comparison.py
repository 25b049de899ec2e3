"""`compare A B`: paired differences of two runs on the samples both answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UsageError, unknown_name
from harness.protocols.benchmark import Metric
from harness.protocols.official import is_official
from harness.stats import Difference
from harness.store import EvaluationRecord
from leaderboards import coverage
from leaderboards.condition import Condition, newest
from leaderboards.declared import headline, primary_of
from leaderboards.differences import measure
from leaderboards.members import Members, members_by_condition
from leaderboards.names import row_of, sides_of
from leaderboards.run_groups import BASE
from leaderboards.scored_metrics import ScoredMetrics, scored_metrics
from leaderboards.scores import mcnemar
from leaderboards.snapshot import Snapshot


@dataclass(frozen=True)
class Comparison:
    """One metric of A and B on their common samples.

    ``p_holm`` is adjusted over all pairs of rows of the leaderboard's table of A and B in this metric, ``family`` of
    them; 1 where no table holds both. ``p_mcnemar`` is given for shares of right answers (None
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
    sides = sides_of(snapshot, a, b)
    return compare(
        snapshot, sides.evaluations, a, b, members=sides.members, key=sides.key, matched=sides.matched,
        panel=sides.panel,
    )  # fmt: skip


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
        columns = [m for m in snapshot.metrics(pair[0][0]) if not is_official(m.name)]
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
    tested = scored.tested[a, b]
    return [
        Comparison(
            condition=condition,
            metric=metric,
            a=float(figures[0][i]),
            b=float(figures[1][i]),
            difference=tested[i][0],
            p_holm=tested[i][1],
            p_mcnemar=mcnemar(left, right, metric),
            headline=metric.name in main and not condition.eos_bias,  # a point of the curve is no test of its own
            primary=primary is not None and metric.name == primary.name and not condition.eos_bias,
            family=scored.family(i),
        )
        for i, metric in enumerate(scored.metrics)
    ]
