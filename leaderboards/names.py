"""What the names of a command stand for: runs, methods (all their seeds), rows of a table, the base model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from harness.errors import UsageError
from harness.store import EvaluationRecord
from leaderboards.members import Members
from leaderboards.run_groups import BASE, RunGroups
from leaderboards.snapshot import Snapshot
from leaderboards.unevaluated import bench_again, unknown_run


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Two names that are compared, and what they stand for in a store.

    Args:
        panel: in which they are compared.
        evaluations: of the rows of the panel, and of both.
        key: what stands for an evaluation's model in the panel.
        members: of each name its models (seeds), by ``key``.
        matched: whether both have one base in common, at whose coverage they can be read.
    """

    panel: str
    evaluations: Sequence[EvaluationRecord]
    key: Callable[[EvaluationRecord], str]
    members: Mapping[str, Sequence[str]]
    matched: bool


def sides_of(snapshot: Snapshot, a: str, b: str) -> Sides:
    """What ``a`` and ``b`` stand for: runs, methods (all seeds of METHOD or METHOD@PANEL), or the base model.

    Raises UsageError for unknown names, for two of the same runs, and where nothing is left that could be compared.
    """
    names, evaluations = snapshot.groups, snapshot.current
    if not snapshot.evaluations:
        raise nothing_stored(snapshot, "to compare")
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
    if set(members[a]) == set(members[b]):
        raise same_row(a, b)
    return Sides(
        panel=panel,
        evaluations=compared,
        key=key,
        members=members,
        matched=len({names.bases.get(name) for name in aligned}) < 2,
    )


def same_row(a: str, b: str) -> UsageError:
    """That two names stand for the same model or models, which cannot differ."""
    same = f"{a} is named twice" if a == b else f"{a} and {b} are the same"
    return UsageError(f"{same}, and nothing differs from itself: name two runs or methods.")


def nothing_stored(snapshot: Snapshot, purpose: str) -> UsageError:
    """That a results file holds no evaluations for a ``purpose``, and why or what to do."""
    missing = " ".join(snapshot.left_out.values()) or "Run `python cli.py bench` or `demo` first."
    return UsageError(f"{snapshot.store.path} holds no evaluations {purpose}. {missing}")


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
        raise unknown_run(name, {BASE, *runs, *(a.method for a in evaluated)}, names)
    if len(panels) > 1:
        choices = " or ".join(repr(f"{method}@{p}") for p in panels)
        raise UsageError(f"{name} was aligned on {len(panels)} panels of data: write {choices}.")
    return [a.name for a in seeds]


def row_named(name: str | None, members: Members, panel: str, *, of_one_run: bool = False) -> str | None:
    """The row of a table of ``panel`` that ``name`` stands for: its label, METHOD@PANEL, or the row of a run (with
    ``of_one_run`` only where that run is all of the row). None where there is none."""
    row, _, of_panel = (name or "").rpartition("@")
    for label, seeds in members.seeds.items():
        runs = {e.run for e in seeds.values()}
        of_run = name in runs and not (of_one_run and len(seeds) > 1)
        if name == label or (row == label and of_panel == panel) or of_run:
            return label
    return None


def row_of(side: Sequence[EvaluationRecord], rows: Members | None) -> str | None:
    """The row that is made of just these evaluations; None where there is none."""
    ids = {e.id for e in side}
    found = rows.seeds.items() if rows is not None else ()
    return next((label for label, seeds in found if {e.id for e in seeds.values()} == ids), None)
