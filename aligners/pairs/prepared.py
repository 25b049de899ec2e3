"""Pairs that were read before: kept as JSON lines, so that reading and checking is done once a data set and machine."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.util.jsonl import iter_values
from harness.util.paths import cache_dir, locked

State = tuple[int, int] | None
"""Size and time of a file, None for one that is not there."""


@dataclass(frozen=True)
class Stored:
    """Facts and lines of JSON, and the files that they hold of; None where they are not to be kept."""

    facts: dict[str, Any]
    lines: list[dict[str, Any]]
    files: Iterable[Path] | None


def prepared(key: str, make: Callable[[], Stored]) -> Stored:
    """What ``make`` gives, or gave before under ``key`` if all files are as they were then.

    One process of a machine makes it, the others wait and read it.
    """
    file = cache_dir("pairs") / f"{key}.jsonl"
    with locked(file.with_suffix(".lock")):
        known = _known(file)
        if known is None:
            known = make()
            _keep(file, known)
    return known


def prepared_facts(key: str, make: Callable[[], Stored]) -> dict[str, Any]:
    """The facts of ``prepared`` alone; where the files are as they were, no line is read."""
    file = cache_dir("pairs") / f"{key}.jsonl"
    with locked(file.with_suffix(".lock")):
        known = _known(file, with_lines=False)
    return (known or prepared(key, make)).facts


def _known(file: Path, *, with_lines: bool = True) -> Stored | None:
    if not file.exists():
        return None
    values = (value for _, value in iter_values(file))
    head = next(values)
    if any(_state(Path(name)) != (tuple(state) if state else None) for name, state in head["files"]):
        return None
    return Stored(head["facts"], list(values) if with_lines else [], None)


def _keep(file: Path, made: Stored) -> None:
    if made.files is None:
        return
    head = {"files": [[str(each), _state(each)] for each in sorted(set(made.files))], "facts": made.facts}
    part = file.with_suffix(f".{os.getpid()}")
    with part.open("w", encoding="utf-8") as out:
        for value in (head, *made.lines):
            out.write(json.dumps(value) + "\n")
    part.replace(file)


def _state(file: Path) -> State:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
