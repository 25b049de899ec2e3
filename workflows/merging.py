"""`db merge`: results files of several machines as one, in one transaction."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.protocols.progress import Progress, silent
from harness.store import EvaluationRecord, Store
from harness.store.merge import Merge, unmerged
from harness.store.opening import is_database
from harness.util.files import replacing
from leaderboards.run_groups import current_evaluations, run_groups

NAMED = 5
"""Conflicts that an error names."""
COUNTS = ("added", "there", "replaced", "left_out")


def merge(
    files: Sequence[Path], into: Path | None = None, *, keep_first: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """The results files ``files`` taken into ``into``, made if absent; without it into the first of them.

    The others are only read. What differs under one key is refused, and nothing is merged; with ``keep_first`` the row
    of the file that was named first stays (of ``into``, if it was there), and what belongs to a run that differs is
    left out. Raises HarnessError for such a conflict and for a damaged file, UsageError for a wrong name.
    """
    target = files[0] if into is None else into
    sources = [file for file in files if not _same(file, target)]
    if not sources or any(_same(a, b) for n, a in enumerate(sources) for b in sources[:n]):
        raise UsageError("db merge A B...: name at least two results files, each once, or one and --into FILE.")
    for file in files:
        _require_results(file)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(contextlib.closing(Store.reading(file))) for file in sources]
        for store in opened:
            _require_sound(store)
        facts = _merged(stack.enter_context(_target(target)), opened, keep_first=keep_first, progress=progress)
    return {"into": str(target), "from": [str(file) for file in sources], **facts, "state": "sound"}


def _require_results(file: Path) -> None:
    """Raise UsageError where there is no ``file``, HarnessError for an empty one and for what is no database."""
    named = "Name files that `bench`, `score` or `align` wrote."
    if not file.is_file():
        raise UsageError(f"db merge {file}: there is no such results file. {named}")
    if not is_database(file):
        what = "it is no SQLite file" if file.stat().st_size else "it is empty"
        raise HarnessError(f"db merge {file}: {what}. {named}")


def _same(one: Path, other: Path) -> bool:
    same = os.path.realpath(one) == os.path.realpath(other)  # also of a link to itself
    return same or (one.exists() and other.exists() and one.samefile(other))


@contextlib.contextmanager
def _target(path: Path) -> Iterator[Store]:
    """The file to merge into, in a transaction; a new one is there when it is whole."""
    new = not path.exists()
    place = replacing(path) if new else contextlib.nullcontext(path)
    with place as file, contextlib.closing(Store(file)) as store:
        _require_whole(store)
        with store.transaction():
            yield store
        if new:
            store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log stays behind


def _require_whole(store: Store) -> None:
    if faults := store.faults():
        raise HarnessError(
            f"{store.path} is damaged: {'; '.join(faults[:NAMED])}. Save what can be read with `db rescue FILE --db "
            f"{store.path}`, and merge that file."
        )


def _require_sound(store: Store) -> None:
    _require_whole(store)
    if busy := store.aligning():
        raise UsageError(f"{store.path}: {', '.join(busy)} is being aligned. Merge it when that is done.")


def _merged(target: Store, sources: Sequence[Store], *, keep_first: bool, progress: Progress) -> dict[str, Any]:
    counts = {name: Counter[str]() for name in COUNTS}
    conflicts: list[str] = []
    apart: dict[str, int] = {}
    for source in sources:
        if busy := target.aligning().keys() & {run.name for run in source.alignments()}:
            raise UsageError(f"{target.path}: {', '.join(busy)} is being aligned. Merge when that is done.")

        def rows(step: str, done: int, total: int, note: str = "", file: str = source.path.name) -> None:
            progress(f"merge {file}", done, total, note)

        before, own = _Shown.of(target), _Shown.of(source)
        found = Merge(target, source, rows)()
        conflicts += [f"{source.path.name}: {each}" for each in found.conflicts]
        if not keep_first:
            _refuse(conflicts)
        _require_shown(before, own.without(found.runs), _Shown.of(target), source.path)
        for name in COUNTS:
            counts[name] += getattr(found, name)
        apart |= {f"{source.path.name}: {table}": count for table, count in unmerged(source).items()}
    if faults := target.faults():
        raise HarnessError(f"{target.path} is damaged, and nothing was merged: {'; '.join(faults[:NAMED])}.")
    facts: dict[str, Any] = {name: dict(sorted(count.items())) for name, count in counts.items()}
    return {**facts, "conflicts": conflicts, **({"not_merged": apart} if apart else {})}


def _refuse(conflicts: Sequence[str]) -> None:
    if conflicts:
        more = f"; and {len(conflicts) - NAMED} more" if len(conflicts) > NAMED else ""
        raise HarnessError(
            f"nothing was merged: {len(conflicts)} rows differ under one key: {'; '.join(conflicts[:NAMED])}{more}. "
            "--keep-first keeps those of the file that is named first (the others stay in their file)."
        )


@dataclass(frozen=True)
class _Shown:
    """The evaluations of a file that leaderboards show, by key, and the keys of those that later ones stand for."""

    current: Mapping[str, EvaluationRecord]
    past: frozenset[str]

    @classmethod
    def of(cls, store: Store) -> _Shown:
        stored = store.evaluations()
        current = current_evaluations(stored, run_groups(store.alignments()))
        shown = {evaluation.key: evaluation for evaluation in current if evaluation.n_scored}
        return cls(shown, frozenset(evaluation.key for evaluation in stored) - shown.keys())

    def without(self, runs: AbstractSet[str]) -> _Shown:
        kept = {key: each for key, each in self.current.items() if not {each.run, each.alignment} & runs}
        return _Shown(kept, self.past)


def _require_shown(target: _Shown, source: _Shown, merged: _Shown, file: Path) -> None:
    """Raise HarnessError where leaderboards would not show what they did of either file, or show what they did not."""
    both = {**source.current, **target.current}
    lost = [both[key] for key in both.keys() - merged.current.keys() - target.past - source.past]
    if lost:
        what = ", ".join(dict.fromkeys(f"{each.run} on {each.benchmark} (model {each.model})" for each in lost[:NAMED]))
        raise HarnessError(
            f"nothing was merged: {file.name} and the file it goes into have runs of one name with different models, "
            f"of which one would stand in place of the other: {what}. Give them names of their own (`bench --name`), "
            "or remove the one from a copy of its file (`db rm RUN`)."
        )
    if again := [each.run for key, each in merged.current.items() if key not in both]:
        raise HarnessError(
            f"nothing was merged: figures of {', '.join(again)} that were replaced would be shown again."
        )
