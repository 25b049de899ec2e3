"""Checkpoints: Trainer's own, complete once the objective's state and the list of their files lie in them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from aligners.objective import Objective, State
from harness.errors import DataError, Transient, UsageError
from harness.models.weights import names_of, weight_files
from harness.util.files import read_object, write_text

STATE_FILE = "objective_state.json"
"""Written last and removed first: a checkpoint without it is not complete."""
NAME = re.compile(r"checkpoint-(\d+)")
KEPT = 2
"""Complete checkpoints that are kept while training runs: the second is there if the newest cannot be read."""
SMALL = 1 << 20
"""Bytes up to which a file's content is compared as well as its size."""
PARTS = {
    "trainer_state.json": ("trainer_state.json",),
    "weights": ("pytorch_model_fsdp*", "global_step*"),
    "optimizer.pt": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state*.pth",),
}
"""What Trainer writes beside files of weights, and its names without sharding, under FSDP and with DeepSpeed."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint under ``folder``."""
    return next((path for path in checkpoints(folder) if not fault_of(path)), None)


def resumable_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint under ``folder``; a warning says what is wrong with newer ones, which go."""
    found = checkpoints(folder)
    for path in found:
        fault = fault_of(path)
        if not fault:
            return path
        remove_checkpoint(path)
        before = last_checkpoint(folder)
        then = f"the run resumes from {before.name}" if before else "there is none before it: the run starts over"
        warnings.warn(f"{path} is left out: {fault}; {then}.", stacklevel=2)
    return None


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints under ``folder``, complete or not, the newest first."""
    found = {path: NAME.fullmatch(path.name) for path in folder.glob("checkpoint-*") if path.is_dir()}
    numbers = {path: int(match[1]) for path, match in found.items() if match}
    return sorted(numbers, key=lambda path: numbers[path], reverse=True)


def remove_checkpoint(checkpoint: Path) -> None:
    """Remove a checkpoint; killed on the way, it is one that is not complete."""
    (checkpoint / STATE_FILE).unlink(missing_ok=True)
    shutil.rmtree(checkpoint, ignore_errors=True)  # another process may be removing it too


def remove_checkpoints(folder: Path) -> None:
    """Remove every checkpoint under ``folder``, the oldest first, so that what a kill leaves is the newest."""
    for path in reversed(checkpoints(folder)):
        remove_checkpoint(path)


def keep_newest(folder: Path) -> None:
    """Remove all checkpoints under ``folder`` but the newest complete ones (``KEPT``)."""
    complete = [path for path in checkpoints(folder) if not fault_of(path)][:KEPT]
    for path in reversed(checkpoints(folder)):
        if path not in complete:
            remove_checkpoint(path)


def fault_of(checkpoint: Path) -> str:
    """Why training cannot resume from ``checkpoint``, in words; "" where it can.

    The files must be those of its list; one of an earlier version has none and must hold all that Trainer writes.
    """
    mark = checkpoint / STATE_FILE
    if not mark.exists():
        return "it was not written to its end"
    try:
        kept = read_object(mark, "the state of an objective and the list of the files")
        if not isinstance(kept.get("state"), dict) or not isinstance(kept.get("curve"), list):
            return f"{STATE_FILE} holds no state and curve"
        return _fault_of_listed(checkpoint, kept["files"]) if "files" in kept else _fault_of_unlisted(checkpoint)
    except (DataError, OSError) as error:
        return str(error).rstrip(".")


def write_state(
    checkpoint: Path,
    objective: Objective,
    data: str,
    state: State,
    curve: Sequence[Mapping[str, float]],
    layout: str = "",
) -> None:
    """Complete ``checkpoint``: the objective's state, the hash of the ``data``, the metrics of all steps, its files.

    ``layout``: how its tensors are cut among processes, "" where any number of processes reads them.
    """
    files = {str(file.relative_to(checkpoint)): _seal(file) for file in _files(checkpoint)}
    kept = {"objective": _identity(objective), "data": data, "state": dict(state), "curve": list(curve), "files": files}
    write_text(checkpoint / STATE_FILE, json.dumps({**kept, "layout": layout}))


def read_state(
    checkpoint: Path, objective: Objective, data: str, layout: str = ""
) -> tuple[State, list[dict[str, float]]]:
    """The state and curve that ``write_state`` kept.

    Raises UsageError if another objective, the same with other settings, or other ``data`` made the checkpoint, or if
    its tensors have another ``layout``.
    """
    kept = read_object(checkpoint / STATE_FILE)
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
    if (was := kept.get("layout", layout)) != layout:
        raise UsageError(
            f"{checkpoint} was saved {was or 'without sharding'}, which cannot be read {layout or 'without sharding'}. "
            "Resume as it was saved, or start over with --fresh."
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
        remove_checkpoint(checkpoint)
        before = last_checkpoint(checkpoint.parent)
        kept_whole = f"{before} is whole" if before else "there is none before it"
        raise Transient(
            f"{checkpoint} could not be saved ({error}); {kept_whole}. Free the disk and run the same command again: "
            "it resumes from there."
        ) from error


def _files(checkpoint: Path) -> list[Path]:
    return sorted(file for file in checkpoint.rglob("*") if file.is_file() and file.name != STATE_FILE)


def _seal(file: Path) -> list[int | str]:
    """The size of a file and, of a small one, the sha256 of its content."""
    size = file.stat().st_size
    return [size, hashlib.sha256(file.read_bytes()).hexdigest() if size <= SMALL else ""]


def _fault_of_listed(checkpoint: Path, listed: Any) -> str:
    if not isinstance(listed, dict):
        return f"{STATE_FILE} holds no list of files"
    for name, sealed in listed.items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if (found := _seal(file)) != sealed:
            whole = isinstance(sealed, list) and sealed[:1] == found[:1]
            return f"{name} is not what was written" + ("" if whole else f" ({found[0]} bytes)")
        if file.suffix in (".pt", ".pth") and not zipfile.is_zipfile(file):  # large ones have no digest
            return f"{name} cannot be read"
    return ""


def _fault_of_unlisted(checkpoint: Path) -> str:
    for part, names in PARTS.items():
        there = [file for name in names for file in checkpoint.glob(name)]
        if not there and not (part == "weights" and weight_files(checkpoint)):
            return f"{part} is missing"
    read_object(checkpoint / "trainer_state.json", "Trainer's state")
    for file in _files(checkpoint):
        if file.suffix in (".pt", ".pth") and not zipfile.is_zipfile(file):
            return f"{file.name} cannot be read"
        try:
            if file.suffix == ".safetensors":
                names_of(file)
        except SafetensorError as error:
            return f"{file.name} cannot be read ({error})"
    return ""


def _identity(objective: Objective) -> dict[str, Any]:
    return {"name": objective.name, **dataclasses.asdict(objective)}
