"""Checkpoints: Trainer's own, complete once the objective's state lies in them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from aligners.objective import Objective, State
from harness.errors import HarnessError, UsageError

STATE_FILE = "objective_state.json"
"""Written last: a checkpoint without it was interrupted."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint under ``folder``."""
    complete = [file.parent for file in folder.glob(f"checkpoint-*/{STATE_FILE}")]
    return max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def remove_checkpoints(folder: Path) -> None:
    """Remove every checkpoint under ``folder``."""
    for old in folder.glob("checkpoint-*"):
        shutil.rmtree(old, ignore_errors=True)  # another process may be removing it too


def write_state(
    checkpoint: Path, objective: Objective, data: str, state: State, curve: Sequence[Mapping[str, float]]
) -> None:
    """Complete ``checkpoint`` with the objective's state, the hash of the ``data`` and the metrics of all steps."""
    kept = {"objective": _identity(objective), "data": data, "state": dict(state), "curve": list(curve)}
    (checkpoint / STATE_FILE).write_text(json.dumps(kept))


def read_state(checkpoint: Path, objective: Objective, data: str) -> tuple[State, list[dict[str, float]]]:
    """The state and curve that ``write_state`` kept.

    Raises UsageError if another objective, the same with other settings, or other ``data`` made the checkpoint.
    """
    kept = json.loads((checkpoint / STATE_FILE).read_text())
    if kept.get("objective") != _identity(objective):
        raise UsageError(
            f"{checkpoint} is of {kept.get('objective', 'an unknown objective')}, not of {_identity(objective)}. "
            "Start over with --fresh, or give the settings it was made with."
        )
    if kept.get("data", data) != data:  # older ones do not say
        raise UsageError(
            f"{checkpoint} is of other pairs: the data were changed since (hash {kept['data'][:12]}, now {data[:12]}). "
            "Start over with --fresh, or put the data back."
        )
    return kept["state"], kept["curve"]


@contextlib.contextmanager
def whole_or_absent(checkpoint: Path) -> Iterator[None]:
    """While ``checkpoint`` is written: it does not count as complete, and is removed where it cannot be written.

    Raises HarnessError then, naming the checkpoint that a run resumes from.
    """
    (checkpoint / STATE_FILE).unlink(missing_ok=True)
    try:
        yield
    # safetensors and torch raise their own errors for a full disk
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(checkpoint, ignore_errors=True)
        before = last_checkpoint(checkpoint.parent)
        kept_whole = f"{before} is whole" if before else "there is none before it"
        raise HarnessError(
            f"{checkpoint} could not be saved ({error}); {kept_whole}. Free the disk and run the same command again: "
            "it resumes from there."
        ) from error


def _identity(objective: Objective) -> dict[str, Any]:
    return {"name": objective.name, **dataclasses.asdict(objective)}
