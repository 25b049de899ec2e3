"""Which evaluations stand in the rows of a table, and which are only counted where p-values are adjusted.

A filter chooses what is seen. It must not change what a figure means: a method that was tried counts as a test whether
its row is shown or not, and hallucination at equal coverage is read at the points that all rows have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from harness.store import EvaluationRecord
from leaderboards import coverage
from leaderboards.condition import Condition, condition_of, newest
from leaderboards.run_groups import BASE, RunGroups
from leaderboards.selection import names_of
from leaderboards.snapshot import Snapshot

Seeds = Mapping[str, EvaluationRecord]
"""The evaluations of one row by what stands for their model."""

Curve = Mapping[str, Mapping[float, EvaluationRecord]]
"""By model its evaluations, by bias on the end-of-sequence logit."""


@dataclass(frozen=True)
class Members:
    """The rows of one table, shown or not.

    Args:
        seeds: of every row its evaluations: those that are shown, or all where none is.
        curves: the coverage curves that rows are read from, all points of them, whatever is shown.
        shown: the rows that are shown.
        references: the rows that a shown one may be compared with: those that --run alone leaves out are among them.
        partial: shown rows of which not all runs are: "dpo (1 of 2 runs)".
        hidden: runs that `db hide` keeps out, in no row and not counted.
    """

    seeds: Mapping[str, Seeds]
    curves: Curve
    shown: frozenset[str]
    references: frozenset[str]
    partial: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()

    @classmethod
    def of(cls, seeds: Mapping[str, Seeds], curves: Curve) -> Members:
        """A table of these rows alone, all shown."""
        return cls(seeds, curves, frozenset(seeds), frozenset(seeds))


def members_by_condition(snapshot: Snapshot, panel: str) -> dict[Condition, Members]:
    """The rows of each condition of a panel of which at least one is shown."""
    names, selection = snapshot.all_groups, snapshot.selection
    labels = {e.id: names.label(e, panel) for e in snapshot.counted}
    counted = [e for e in snapshot.counted if labels[e.id] is not None]
    admitted = [e for e in counted if selection.admits(e)]
    shown = [e for e in admitted if labels[e.id] == BASE or selection.asks_for(names_of(e, names))]
    models = [newest(each, partial(names.key, panel=panel)) for each in (shown, admitted, counted)]
    hidden: dict[Condition, dict[str, None]] = defaultdict(dict)
    for evaluation in snapshot.hidden:
        hidden[condition_of(evaluation)][evaluation.run] = None
    found = {}
    for condition in (c for c in models[2] if c in models[0]):
        sources = []
        for grouped in models:
            rows: dict[str, dict[str, EvaluationRecord]] = defaultdict(dict)
            for key, evaluation in grouped.get(condition, {}).items():
                rows[str(labels[evaluation.id])][key] = evaluation
            sources.append(rows)
        every, seen = sources[2], frozenset(sources[0])
        seeds = {label: next(rows[label] for rows in sources if label in rows) for label in every}
        found[condition] = Members(
            seeds=seeds,
            curves=coverage.curves_of(condition, models[2]),
            shown=seen,
            references=frozenset(sources[1]),
            partial=tuple(
                f"{label} ({len(seeds[label])} of {len(every[label])} runs)"
                for label in every
                if label in seen and len(seeds[label]) < len(every[label])
            ),
            hidden=tuple(hidden[condition]),
        )
    return found


def without_repeated(
    found: Mapping[str, Mapping[Condition, Members]], names: RunGroups
) -> dict[str, dict[Condition, Members]]:
    """What is ``found`` by panel without what says nothing of its panel: the rows are only of models that are shown
    beside a panel's own, and stand in another panel's table (the first, where none has rows of its own).
    """
    kept = {panel: dict(conditions) for panel, conditions in found.items()}
    for panel in reversed(list(found)):
        for condition, members in found[panel].items():
            shown = _shown(members)
            others = (_shown(each[condition]) for name, each in kept.items() if name != panel and condition in each)
            foreign = not any(names.is_own(e, panel) for e in shown.values())
            if foreign and any(shown.keys() <= other.keys() for other in others):
                del kept[panel][condition]
    return kept


def _shown(members: Members) -> dict[int, EvaluationRecord]:
    """The evaluations of the rows that are shown, by id."""
    return {e.id: e for label in members.shown for e in members.seeds[label].values()}
