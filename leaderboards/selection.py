"""Which of the stored evaluations a leaderboard is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.errors import unknown_name
from harness.models.spec import model_id
from harness.store import EvaluationRecord
from leaderboards.run_groups import BASE, RunGroups
from leaderboards.unevaluated import unknown_run


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is shown; an empty field leaves nothing out.

    Args:
        runs: of these runs or methods ("dama", "dama@PANEL"); the base model, which they are compared with, stays.
        benchmarks: of these benchmarks.
        judges: by these judges ("none": without one).
        complete: only where every sample was scored.
        hidden: not of these runs (`db hide`); they have no say in how others are named either.
    """

    runs: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    complete: bool = False
    hidden: frozenset[str] = frozenset()

    @property
    def filters(self) -> str:
        """The options that leave something out, as they are given: "--judge rule --complete"."""
        named = (("--run", self.runs), ("--benchmark", self.benchmarks), ("--judge", self.judges))
        words = [f"{option} {value}" for option, values in named for value in values]
        return " ".join([*words, *(["--complete"] if self.complete else [])])

    def shows(self, evaluation: EvaluationRecord, groups: RunGroups) -> bool:
        """Whether ``evaluation`` is shown; ``groups`` are those of all runs."""
        names = names_of(evaluation, groups)
        return not self.hides(evaluation) and self.admits(evaluation) and (BASE in names or self.asks_for(names))

    def admits(self, evaluation: EvaluationRecord) -> bool:
        """Whether ``evaluation`` is of a benchmark and judge that are shown, and as complete as was asked for."""
        e = evaluation
        return (
            (not self.benchmarks or e.benchmark in self.benchmarks)
            and (not self.judges or e.judge in self.judges)
            and (not self.complete or e.n_scored == e.n)
        )

    def asks_for(self, names: set[str]) -> bool:
        """Whether what bears these names is among the runs that are shown."""
        return not self.runs or not names.isdisjoint(self.runs)

    def hides(self, evaluation: EvaluationRecord) -> bool:
        """Whether an evaluation is of a hidden run."""
        return not self.hidden.isdisjoint({evaluation.run, evaluation.alignment})

    def of_groups(self, groups: RunGroups) -> RunGroups:
        """``groups`` with the alignments of the runs alone; they keep the names that they have among all."""
        if not self.runs:
            return groups
        shown = {
            name: a
            for name, a in groups.alignments.items()
            if not {name, a.method, f"{a.method}@{a.panel}"}.isdisjoint(self.runs)
        }
        return replace(groups, alignments=shown)

    def require_known(self, evaluations: Sequence[EvaluationRecord], groups: RunGroups) -> None:
        """Raise UsageError for a run, benchmark or judge that no evaluation has, with the nearest that one has."""
        runs = {name for e in evaluations for name in names_of(e, groups)}
        for name in self.runs:
            if name not in runs:
                raise unknown_run(name, runs, groups)
        known = {
            "benchmark among the evaluations": (self.benchmarks, {e.benchmark for e in evaluations}),
            "judge among the evaluations": (self.judges, {e.judge for e in evaluations}),
        }
        for kind, (asked, stored) in known.items():
            for name in asked:
                if name not in stored:
                    raise unknown_name(kind, name, stored)


EVERYTHING = Selection()


def names_of(evaluation: EvaluationRecord, groups: RunGroups) -> set[str]:
    """What an evaluation's row can be called by: its run, its method, METHOD@PANEL, or BASE."""
    names = {evaluation.run}
    alignment = groups.alignments.get(evaluation.alignment or "")
    if alignment is not None:
        names |= {alignment.method, f"{alignment.method}@{alignment.panel}"}
        if f"run:{alignment.name}" in groups.bases.values():
            names.add(BASE)
    elif model_id(evaluation.model) in groups.bases.values() and not evaluation.info.get("named"):
        names.add(BASE)
    return names


def left_out(evaluations: Iterable[EvaluationRecord]) -> str:
    """Evaluations in words: "dama-s1 on amber (5 of 6 scored)"."""
    return ", ".join(f"{e.run} on {e.benchmark} ({e.n_scored} of {e.n} scored)" for e in evaluations)
