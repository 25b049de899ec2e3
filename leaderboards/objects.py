"""Which objects one model hallucinates and another does not, object by object, from stored verdicts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

from harness.errors import UsageError, unknown_name
from harness.evaluation.metrics import Scored
from harness.protocols.benchmark import Metric, ratio
from harness.stats import Difference
from harness.store import EvaluationRecord
from leaderboards.condition import Condition, newest
from leaderboards.declared import benchmark_title
from leaderboards.names import sides_of
from leaderboards.run_groups import BASE
from leaderboards.scored_metrics import ScoredMetrics
from leaderboards.scores import Scores, read_scores
from leaderboards.snapshot import Snapshot
from leaderboards.verdict_table import VerdictTable

TOP = 20
"""Objects that are shown unless more are asked for."""
ANSWERS, MENTIONED, HALLUCINATED = "answers", "mentioned ", "hallucinated "


@dataclass(frozen=True)
class ObjectChange:
    """One object in the answers of A and of B.

    Args:
        object: the benchmark's class of it.
        a, b: hallucinated mentions in the answers of A, of B: the mean over seeds and judge runs.
        a_mentions, b_mentions: all mentions.
        difference: A minus B in hallucinated mentions per 100 answers, with its interval.
    """

    object: str
    a: float
    b: float
    a_mentions: float
    b_mentions: float
    difference: Difference


@dataclass(frozen=True)
class ObjectChanges:
    """The objects of one benchmark, largest change first.

    Args:
        answers: samples that every seed of both has scored.
        seeds: how many of A, of B.
        a, b: all hallucinated mentions of A, of B; ``a_mentions``, ``b_mentions``: all mentions.
        changes: the objects that change most.
        objects: how many objects either hallucinates.
    """

    condition: Condition
    answers: int
    seeds: tuple[int, int]
    a: float
    b: float
    a_mentions: float
    b_mentions: float
    changes: tuple[ObjectChange, ...]
    objects: int


def load_objects(
    snapshot: Snapshot, a: str, b: str, *, benchmark: str | None = None, top: int | None = TOP
) -> list[ObjectChanges]:
    """A against B (runs, METHOD or METHOD@PANEL for all seeds, "base") on every benchmark that names objects.

    Raises UsageError for unknown names, and where no benchmark (or not the one that is asked for) names objects.
    """
    named = sides_of(snapshot, a, b)
    members = named.members
    shared = {
        condition: [[group[key] for key in members[name]] for name in (a, b)]
        for condition, group in newest(named.evaluations, named.key).items()
        if not condition.eos_bias and {*members[a], *members[b]} <= group.keys()
    }
    if benchmark is not None and benchmark not in {condition.benchmark for condition in shared}:
        raise unknown_name("benchmark of both", benchmark, {condition.benchmark for condition in shared})
    wanted = {c: sides for c, sides in shared.items() if benchmark in (None, c.benchmark)}
    found = [
        changes
        for condition, (of_a, of_b) in wanted.items()
        if (changes := object_changes(snapshot, condition, (a, of_a), (b, of_b), top)) is not None
    ]
    if not found:
        raise UsageError(_refusal(a, b, [condition.benchmark for condition in wanted]))
    return found


def _refusal(a: str, b: str, benchmarks: Sequence[str]) -> str:
    names = ", ".join(dict.fromkeys(map(benchmark_title, benchmarks)))
    said = f"{names}: their verdicts name no objects" if names else f"{a} and {b} share no benchmark"
    return (
        f"objects {a} {b}: {said}. Object HalBench's and AMBER's captions do: `bench` both on one of these under one "
        "judge, or see what is stored of single answers with `show RUN`."
    )


def object_changes(
    snapshot: Snapshot,
    condition: Condition,
    a: tuple[str, Sequence[EvaluationRecord]],
    b: tuple[str, Sequence[EvaluationRecord]],
    top: int | None = TOP,
) -> ObjectChanges | None:
    """Object by object ``a`` against ``b``, each a name (BASE for the base) with the evaluations of its seeds under
    ``condition``. None where the benchmark names no objects, or both have no answer in common.
    """
    if not snapshot.store.mentions(a[1][0].id):
        return None
    sides = [_scores(snapshot, evaluations) for _, evaluations in (a, b)]
    common = set.intersection(*(set(compress(scores.samples, scores.scored)) for scores in sides))
    if not common:
        return None
    of_a, of_b = (_per_seed(scores, common) for scores in sides)
    change = {
        name: of_a.hallucinated.get(name, 0.0) - of_b.hallucinated.get(name, 0.0)
        for name in sorted(of_a.mentioned.keys() | of_b.mentioned.keys())
        if of_a.hallucinated.get(name) or of_b.hallucinated.get(name)
    }
    names = sorted(change, key=lambda name: (-abs(change[name]), -change[name], name))
    changes = [
        ObjectChange(
            name,
            a=of_a.hallucinated.get(name, 0.0),
            b=of_b.hallucinated.get(name, 0.0),
            a_mentions=of_a.mentioned.get(name, 0.0),
            b_mentions=of_b.mentioned.get(name, 0.0),
            difference=difference,
        )
        for name, difference in _differences(a[0], b[0], sides, names[:top]).items()
    ]
    return ObjectChanges(
        condition,
        answers=len(common),
        seeds=(len(a[1]), len(b[1])),
        a=sum(of_a.hallucinated.values()),
        b=sum(of_b.hallucinated.values()),
        a_mentions=sum(of_a.mentioned.values()),
        b_mentions=sum(of_b.mentioned.values()),
        changes=tuple(changes),
        objects=len(names),
    )


@dataclass(frozen=True)
class _Counts:
    """By object the mentions of a row and those that are hallucinated, the mean over its seeds."""

    mentioned: Mapping[str, float]
    hallucinated: Mapping[str, float]


def _scores(snapshot: Snapshot, evaluations: Sequence[EvaluationRecord]) -> Scores:
    """The objects of every answer that was looked through, as numbers of its verdict."""
    tables = []
    for evaluation in evaluations:
        verdicts = snapshot.verdicts(evaluation)
        objects = snapshot.store.mentions(evaluation.id)
        rows = zip(verdicts.samples, verdicts.runs.tolist(), verdicts.groups, strict=True)
        tables.append(
            VerdictTable.of(
                [
                    Scored(id_, run, group, _counts(objects[id_, run]))
                    for id_, run, group in rows
                    if (id_, run) in objects
                ]
            )
        )
    return replace(read_scores(tables), seeds=snapshot.all_groups.training_seeds(list(evaluations)))


def _counts(objects: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    counts = {ANSWERS: 1.0}
    for name, (mentioned, hallucinated) in objects.items():
        counts |= {MENTIONED + name: float(mentioned), HALLUCINATED + name: float(hallucinated)}
    return counts


def _per_seed(scores: Scores, samples: Set[str]) -> _Counts:
    """The sums over ``samples``: the mean over the judge runs of a seed, and then over the seeds."""
    chosen = np.array([sample in samples for sample in scores.samples])
    sums = scores.values[:, :, chosen].sum(axis=2)
    judged = sums[..., [scores.columns.index(ANSWERS)]] > 0  # a seed may have been judged fewer times
    mean = (sums.sum(axis=1) / judged.sum(axis=1)).mean(axis=0)
    sums_by_name = dict(zip(scores.columns, mean.tolist(), strict=True))
    mentioned, hallucinated = (
        {name.removeprefix(kind): n for name, n in sums_by_name.items() if name.startswith(kind)}
        for kind in (MENTIONED, HALLUCINATED)
    )
    return _Counts(mentioned, hallucinated)


def _differences(a: str, b: str, sides: Sequence[Scores], names: Sequence[str]) -> dict[str, Difference]:
    """By object A minus B in hallucinated mentions per 100 answers."""
    if not names:
        return {}
    metrics = [Metric(name, ratio(HALLUCINATED + name, ANSWERS), False, unit="per 100 answers") for name in names]
    one, other = BASE if a == BASE else "A", BASE if b == BASE else "B"
    columns = [ANSWERS, *(HALLUCINATED + name for name in names)]
    scored = ScoredMetrics(metrics, {one: _only(sides[0], columns), other: _only(sides[1], columns)})
    return dict(zip(names, scored.differences(one, other), strict=True))


def _only(scores: Scores, columns: Sequence[str]) -> Scores:
    """These numbers alone; one that no verdict of the row holds is 0."""
    values = np.zeros((*scores.values.shape[:-1], len(columns)))
    for i, name in enumerate(columns):
        if name in scores.columns:
            values[..., i] = scores.values[..., scores.columns.index(name)]
    return replace(scores, columns=tuple(columns), values=values)


def shares(hallucinated: float, mentions: float) -> str:
    """How many of how many, with a digit behind the point where the mean over seeds has one."""
    return " of ".join(f"{n:.0f}" if abs(n - round(n)) < 0.05 else f"{n:.1f}" for n in (hallucinated, mentions))
