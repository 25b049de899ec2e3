"""`status` and `db`: what the store holds, runs and lacks, and the care of its file."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError, unknown_name
from harness.protocols.progress import Progress, silent
from harness.store import AlignmentRecord, EvaluationRecord, Store
from harness.store.activities import Activity
from harness.store.rescue import rescue
from leaderboards.provenance import command_of
from leaderboards.unevaluated import bench_again
from workflows.interruption import kept_of
from workflows.requests import DB

NAMED = 20
"""Faults of a file that `db check` names."""


def status(store: Store) -> dict[str, Any]:
    """Counts, what runs, what is unfinished or failed and why, and the commands that resume it.

    ``next`` has those of which the same words may do better now; of the others ``mend`` is true in their rows.
    """
    alignments, evaluations = store.alignments(), store.evaluations()
    activities = store.activities()
    unfinished = unfinished_of(store, alignments, activities)
    incomplete = incomplete_of(store, evaluations, activities)
    benched = {e.alignment for e in evaluations}
    quiet = benched | store.hidden_runs()
    waiting = [a.name for a in alignments if a.status == "done" and a.name not in quiet]
    following = []
    if not alignments and not evaluations and not activities:
        following.append("python cli.py demo")
    stopped = stopped_of(activities, {a.name for a in alignments})
    following += [row["resume"] for row in (*unfinished, *stopped) if row.get("resume") and not row["mend"]]
    following += [on(store, bench_again(name)) for name in waiting]
    following += [row["again"] for row in incomplete if row["again"] and not row["mend"]]
    return {
        "db": str(store.path),
        "alignments": len(alignments),
        "evaluations": len(evaluations),
        "running": [running(a) for a in activities if a.state == "running"],
        "unfinished": unfinished,
        "stopped": stopped,
        "incomplete": incomplete,
        "not_benchmarked": waiting,
        "next": list(dict.fromkeys(following)),
    }


def unfinished_of(
    store: Store, alignments: Sequence[AlignmentRecord], activities: Sequence[Activity]
) -> list[dict[str, Any]]:
    """The alignments that are not done: where one runs (unless its command is shown as what runs), else how it ended
    ("failed", "interrupted", "killed"), what of it is kept, the command that resumes it, and whether what it failed by
    must be mended first."""
    last = {item: a for a in activities if a.kind in ("align", "ablate") for item in a.items}
    aligning = store.aligning()
    shown = {item for a in activities if a.state == "running" for item in a.items}
    rows: list[dict[str, Any]] = []
    for a in alignments:
        if a.status == "done" or (a.name in aligning and a.name in shown):
            continue
        if a.name in aligning:
            rows.append({"name": a.name, "status": a.status, "where": str(aligning[a.name])})
            continue
        command = last.get(a.name)
        ended = {"why": _why(command, a.name), "log": command.log} if command else {}
        killed = command is not None and command.state == "killed"
        rows.append({
            "name": a.name,
            "status": "killed" if killed else a.status,
            "where": kept_of(store, a),
            "resume": (command.command if command else "") or on(store, command_of(a)),
            "mend": command is not None and command.lasting,
            **ended,
        })  # fmt: skip
    return rows


def _why(command: Activity, run: str) -> str:
    """What ``command`` says of the end of ``run``: of several runs each has lines of its own."""
    own = [line for line in command.error.split("\n") if line.startswith(f"{run}: ")]
    return "\n".join(own) or command.error


def incomplete_of(
    store: Store, evaluations: Sequence[EvaluationRecord], activities: Sequence[Activity]
) -> list[dict[str, Any]]:
    """The evaluations of which samples failed or are missing, and the command that asks for these alone; ``mend`` where
    it finds no more of them in its files than before."""
    asked = {item: a.command for a in activities if a.kind in ("bench", "score") for item in a.items}
    rows = []
    for e in evaluations:
        if e.n_scored < e.n:
            again = asked.get(f"{e.run} on {e.benchmark}") or (on(store, bench_again(e.run)) if e.alignment else "")
            counts = {"scored": e.n_scored, "of": e.n, "failed": e.n_failed}
            rows.append({"run": e.run, "benchmark": e.benchmark, **counts, "again": again, "mend": _is_recorded(e)})
    return rows


def _is_recorded(e: EvaluationRecord) -> bool:
    """Whether all that an incomplete evaluation lacks would be looked up in files, and nobody asked."""
    return e.model.startswith("replay:") and (not e.n_failed or e.judge == "none" or e.judge.startswith("replay:"))


def on(store: Store, command: str) -> str:
    """The ``command`` for the results file of ``store``, named unless it is the one used where none is."""
    return command if str(store.path) == DB else f"{command} {shlex.join(['--db', str(store.path)])}"


def running(activity: Activity) -> dict[str, Any]:
    """What a command that runs is doing, how long that will take, and what comes after."""
    return {
        "command": activity.command or activity.kind,
        "kind": activity.kind,
        "where": f"process {activity.pid} on {activity.host}",
        "started": activity.started,
        "steps": activity.steps,
        "to_do": activity.remaining,
        "log": activity.log,
    }


def stopped_of(activities: Sequence[Activity], aligned: AbstractSet[str]) -> list[dict[str, Any]]:
    """Commands that ended before all was done, oldest first: what they had still to do that no later one did.

    Not alignments of ``aligned``, which are unfinished runs.
    """
    rows: list[dict[str, Any]] = []
    later: set[str] = set()  # what is done, or under way, since
    for each in reversed(activities):
        left = [item for item in each.remaining if item not in later]
        left = [] if each.kind == "align" and aligned & set(left) else left
        if each.state in ("failed", "interrupted", "killed") and left:
            rows.append({
                "kind": each.kind, "state": each.state, "when": each.updated, "why": each.error, "to_do": left,
                "resume": each.command, "mend": each.lasting, "log": each.log,
            })  # fmt: skip
        later.update(each.finished if each.state == "done" else each.items)
    return rows[::-1]


def care(store: Store, action: str, file: Path | None = None, progress: Progress = silent) -> dict[str, Any]:
    """`db info|check|vacuum|backup`; a damaged file or a backup over an existing file is an error."""
    facts: dict[str, Any] = {"db": str(store.path)}
    if action == "check":
        faults = store.faults(progress)
        if faults:
            more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
            raise HarnessError(
                f"{store.path} is damaged: {'; '.join(faults[:NAMED])}{more}. Save what can be read into a new results "
                "file with `db rescue FILE` (or `export`), or restore a backup."
            )
        return {**facts, "state": "sound"}
    if action == "vacuum":
        before = store.path.stat().st_size
        store.vacuum()
        return {**facts, "bytes_before": before, "bytes": store.path.stat().st_size}
    if file is not None:
        if file.exists():
            raise UsageError(f"{file} exists already: name another file.")
        store.backup(file)
        return {**facts, "copy": str(file), "bytes": file.stat().st_size}
    counts = {name: store.count(name) for name in store.tables()}
    return {**facts, "bytes": store.path.stat().st_size, "schema": store.schema_version, **counts}


def rescued(db: Path, file: Path) -> dict[str, Any]:
    """`db rescue`: what can be read of a damaged results file, in the new file ``file``; ``unreadable`` says what
    cannot: by table the stretches of keys, and about how many rows they held; ``damaged`` rows are set aside."""
    if file.exists():
        raise UsageError(f"{file} exists already: name another file.")
    found = rescue(db, file)
    size = {table: "" if found.missing else f", about {found.lost[table]} rows" for table in found.unreadable}
    gone = {table: f"{count} stretches{size[table]}" for table, count in found.unreadable.items()}
    cut = {"missing": f"{found.missing} pages at the end of {db}: what they held is not known"} if found.missing else {}
    if found.remade:
        cut["first page"] = "lost: the tables were found by what is in them; rows that were deleted may be among these"
    apart = {f"orphan_{table}": f"{count} rows without what they belong to" for table, count in found.orphans.items()}
    bad = {table: f"{count} rows with a cell that cannot be read" for table, count in found.damaged.items()}
    apart |= {f"damaged_{table}": what for table, what in bad.items()}
    return {"db": str(db), "rescued": str(file), **found.rows, **apart, **cut, "unreadable": gone, "damaged": bad}


def removal(store: Store, runs: Sequence[str]) -> dict[str, Any]:
    """What `db rm` would remove of ``runs``, and what stays; a run that is unknown or being aligned is a UsageError."""
    require_runs(store, runs)
    models = [a.model_dir for a in store.alignments() if a.name in runs and a.model_dir]
    counts = Counter[str]()
    for run in runs:
        if run in store.aligning():
            raise UsageError(f"{run} is being aligned by {store.aligning()[run]}: stop it first.")
        counts.update(store.rows_of(run))
    kept = ["answers and replies, so that nothing is asked again", *(f"the model in {folder}" for folder in models)]
    return {"runs": list(runs), **counts, "kept": "; ".join(kept)}


def require_runs(store: Store, runs: Sequence[str]) -> None:
    """Raise UsageError where ``runs`` is empty or one of them is not stored, with the nearest that is."""
    if not runs:
        raise UsageError("db: name a run (see `list runs`).")
    known = {*(a.name for a in store.alignments()), *(e.run for e in store.evaluations()), *store.hidden_runs()}
    for run in runs:
        if run not in known:
            raise unknown_name("run", run, known)


def remove(store: Store, runs: Sequence[str]) -> None:
    """Remove ``runs`` with their evaluations."""
    for run in runs:
        store.remove_run(run)


def hide(store: Store, runs: Sequence[str], *, hidden: bool) -> dict[str, Any]:
    """Hide ``runs`` from leaderboards, or show them again; returns all that are hidden now."""
    require_runs(store, runs)
    for run in runs:
        store.hide_run(run, hidden=hidden)
    return {"db": str(store.path), "hidden": sorted(store.hidden_runs())}
