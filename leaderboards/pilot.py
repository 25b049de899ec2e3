"""The two rows of a store that a comparison is planned from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import UsageError, unknown_name
from harness.evaluation.resolve import DATA_SIZE
from harness.protocols.benchmark import Metric
from harness.stats import SeedVariance
from harness.store import EvaluationRecord
from leaderboards.condition import Condition
from leaderboards.declared import primary_of
from leaderboards.members import Members, members_by_condition
from leaderboards.names import nothing_stored, row_named, same_row
from leaderboards.run_groups import BASE
from leaderboards.scored_metrics import ScoredMetrics, scored_metrics
from leaderboards.scores import Scores
from leaderboards.snapshot import Snapshot

CURVE = "answers and replies are of one point of the coverage curve: each bias on the end of a sequence takes as many"


@dataclass(frozen=True)
class Pilot:
    """Rows A and B of one table, and the metric that they are to be compared in.

    Args:
        condition: of the table.
        labels: of the two rows.
        metric: what is compared.
        scores: of the rows, on the samples that both scored.
        trained: whether each is a method with training seeds.
        seeds: the variance of the metric over them, pooled over ``methods`` that have several.
        available: samples of the data that the two rows were run on: all that the benchmark has, or those of a limit.
        size: samples that the benchmark has; None where no evaluation recorded it.
        evaluations: behind the two rows.
        notes: what is to be known of it.
    """

    condition: Condition
    labels: tuple[str, str]
    metric: Metric
    scores: tuple[Scores, Scores]
    trained: tuple[bool, bool]
    seeds: SeedVariance | None
    methods: int
    available: int
    size: int | None
    evaluations: tuple[EvaluationRecord, ...]
    notes: tuple[str, ...]

    @property
    def judged(self) -> bool:
        return self.condition.judge != "none"


@dataclass(frozen=True)
class _Found:
    panel: str
    condition: Condition
    members: Members
    labels: tuple[str, str]

    @property
    def newest(self) -> int:
        return max(e.id for label in self.labels for e in self.members.seeds[label].values())


def pilot_of(snapshot: Snapshot, a: str, b: str, benchmark: str | None, metric: str | None) -> Pilot:
    """The rows that ``a`` and ``b`` name; UsageError where they are in no table together, or in several."""
    if not snapshot.evaluations:
        raise nothing_stored(snapshot, "to plan from")
    named = list(_tables(snapshot, a, b))
    found = [each for each in named if each.labels[0] != each.labels[1]]
    if named and not found:
        raise same_row(a, b)
    if not found:
        known = {label for panel in snapshot.groups.panels for label in _labels(snapshot, panel)}
        for name in (a, b):
            if name not in known and name not in {e.run for e in snapshot.evaluations} and "@" not in name:
                raise unknown_name("row", name, known)
        if a == b:
            raise same_row(a, b)
        raise UsageError(f"{a} and {b} stand in no table together: run both on one benchmark, with the same judge.")
    chosen = _chosen(found, benchmark, a, b)
    scored, position = _scored(snapshot, chosen, metric)
    return _pilot(snapshot, chosen, scored, position, notes=_notes(found, chosen))


def _tables(snapshot: Snapshot, a: str, b: str) -> Iterator[_Found]:
    """The tables that hold a row of each name."""
    for panel in snapshot.groups.panels:
        for condition, members in members_by_condition(snapshot, panel).items():
            labels = [row_named(name, members, panel) for name in (a, b)]
            if not condition.eos_bias and labels[0] is not None and labels[1] is not None:
                yield _Found(panel, condition, members, (labels[0], labels[1]))


def _labels(snapshot: Snapshot, panel: str) -> set[str]:
    return {label for members in members_by_condition(snapshot, panel).values() for label in members.seeds}


def _chosen(found: Sequence[_Found], benchmark: str | None, a: str, b: str) -> _Found:
    """The newest table of the benchmark; UsageError where it is not clear which is meant."""
    benchmarks = list(dict.fromkeys(each.condition.benchmark for each in found))
    if benchmark is not None and benchmark not in benchmarks:
        raise unknown_name(f"benchmark that {a} and {b} were run on", benchmark, benchmarks)
    if benchmark is None and len(benchmarks) > 1:
        raise UsageError(f"{a} and {b} were run on {', '.join(benchmarks)}: choose one with --benchmark.")
    of = [each for each in found if benchmark in (None, each.condition.benchmark)]
    panels = list(dict.fromkeys(each.panel for each in of))
    if len(panels) > 1:
        name = next((label for label in of[0].labels if label != BASE), of[0].labels[0])
        choices = " or ".join(repr(f"{name}@{panel}") for panel in panels)
        raise UsageError(f"{a} and {b} stand in {len(panels)} panels: write {choices}.")
    return max(of, key=lambda each: each.newest)


def _notes(found: Sequence[_Found], chosen: _Found) -> tuple[str, ...]:
    alike = [f for f in found if (f.panel, f.condition.benchmark) == (chosen.panel, chosen.condition.benchmark)]
    if len(alike) < 2:
        return ()
    condition = chosen.condition
    return (f"of {len(alike)} tables the newest: judge {condition.judge}, version {condition.version}",)


def _scored(snapshot: Snapshot, chosen: _Found, metric: str | None) -> tuple[ScoredMetrics, int]:
    """The metrics among which the wanted one (None: the one that the benchmark is judged by) is, and its position."""
    benchmark = chosen.condition.benchmark
    first = next(iter(chosen.members.seeds[chosen.labels[0]].values()))
    metrics = snapshot.metrics(first)
    every = scored_metrics(benchmark, chosen.members, metrics, snapshot)
    known = {m.name: m for each in every for m in each.metrics}
    primary = primary_of(benchmark, list(known.values()))
    if metric is None and primary is None:
        raise UsageError(f"{benchmark} has no metric with a better and a worse: name one with --metric.")
    name = metric if metric is not None or primary is None else primary.name
    if name not in known:
        raise unknown_name(f"metric of {benchmark}", str(name), known)
    if known[name].over_runs != "mean":
        raise UsageError(f"{name} is a spread over judge runs, for which nothing is planned: name another --metric.")
    wanted = next(each for each in every if known[name] in each.metrics)
    return wanted, list(wanted.metrics).index(known[name])


def _pilot(
    snapshot: Snapshot, chosen: _Found, scored: ScoredMetrics, position: int, *, notes: tuple[str, ...]
) -> Pilot:
    a, b = chosen.labels
    pair = scored.common(a, b) if a in scored.scores and b in scored.scores else None
    metric = scored.metrics[position]
    if pair is None or not pair[0].samples:
        raise UsageError(f"{a} and {b} have no sample in common that both scored in {metric.name}.")
    trained = (_is_trained(chosen, a), _is_trained(chosen, b))
    if single := [name for name, of, side in zip((a, b), trained, pair, strict=True) if of and len(side.values) < 2]:
        raise UsageError(
            f"plan takes two training seeds of a method, and {' and '.join(single)} has one: train it once more with "
            "--seed 1 and `bench` it. (One seed says nothing of a method, however many samples it answers.)"
        )
    evaluations = tuple(e for label in chosen.labels for e in chosen.members.seeds[label].values())
    return Pilot(
        condition=chosen.condition, labels=chosen.labels, metric=metric, scores=pair, trained=trained,
        seeds=None if scored.seed_variance is None else scored.seed_variance.of([position]),
        methods=sum(len(scores.values) > 1 for scores in scored.scores.values()),
        available=len(snapshot.samples(chosen.condition.data_hash)) or max(e.n for e in evaluations),
        size=max((e.info[DATA_SIZE] for e in evaluations if DATA_SIZE in e.info), default=None),
        evaluations=evaluations, notes=(*notes, *([CURVE] if scored.tradeoff is not None else [])),
    )  # fmt: skip


def _is_trained(chosen: _Found, label: str) -> bool:
    return label != BASE and any(e.alignment is not None for e in chosen.members.seeds[label].values())
