"""What is kept of work that was stopped from outside, in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from harness.errors import Interrupted
from harness.protocols.progress import Progress
from harness.store import AlignmentRecord, Store
from harness.util.names import one_entry
from harness.util.paths import home


def folder_of(name: str, key: str) -> Path:
    """Where an alignment keeps its checkpoints and its model; never outside, whatever a results file calls it."""
    return home().resolve() / "aligned" / one_entry(f"{name}-{key[:8]}")


def kept_of(store: Store, run: AlignmentRecord) -> str:
    """How far an unfinished alignment came, and the checkpoint that it resumes from."""
    from aligners.training.checkpoints import last_checkpoint

    log = store.train_log(run.name)
    reached = (
        f"{run.name}: {run.status} after step {log[-1]['step']}" if log else f"{run.name}: {run.status} before step 1"
    )
    checkpoint = last_checkpoint(folder_of(run.name, run.key))
    if checkpoint is not None:
        return f"{reached}. Kept: {checkpoint}, from which it resumes."
    every = run.config.get("checkpoint_every")
    how = f"one is saved every {every} steps" if every else "none is saved with checkpoint_every=0"
    return f"{reached}. There is no checkpoint yet ({how}): it starts over."


def starts_over(store: Store, name: str, key: str) -> str:
    """What is said of a run that was stopped after its first step and has no checkpoint to resume from; else ""."""
    from aligners.training.checkpoints import checkpoints

    run = next((each for each in store.alignments() if (each.name, each.key) == (name, key)), None)
    if run is None or run.status not in ("interrupted", "failed") or not store.train_log(name):
        return ""
    return "" if checkpoints(folder_of(name, key)) else kept_of(store, run)


class LastStep:
    """A Progress that passes everything on and remembers where the work is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._last = ""

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        self._last = f"{step}: {done} of {total}"
        self._progress(step, done, total, note)

    def __str__(self) -> str:
        return f" at {self._last}" if self._last else ""


@contextlib.contextmanager
def kept_answers(store: Store, progress: Progress) -> Iterator[Progress]:
    """The ``progress`` of answering and judging; an interruption says where it was and that the rest is kept."""
    watched = LastStep(progress)
    try:
        yield watched
    except KeyboardInterrupt as stop:
        kept = f"Stopped{watched}. The answers and the judge's replies so far are kept in {store.path}."
        raise Interrupted.of(stop, kept) from stop
