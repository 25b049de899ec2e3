"""Pairs that were read before: kept as JSON lines, so that reading and checking is done once a data set and machine."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.util.caches import discard
from harness.util.files import replacing
from harness.util.jsonl import iter_values
from harness.util.paths import cache_dir, kept_dir, locked

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
    if (known := _known(_file(key))) is not None:
        return known
    file = cache_dir("pairs") / _file(key).name
    with locked(file.with_suffix(".lock")):
        known = _known(file)
        if known is None:
            known = make()
            _keep(file, known)
    return known


def prepared_facts(key: str, make: Callable[[], Stored]) -> dict[str, Any]:
    """The facts of ``prepared`` alone; where the files are as they were, no line is read."""
    return (_known(_file(key), with_lines=False) or prepared(key, make)).facts


def _file(key: str) -> Path:
    return kept_dir("pairs") / f"{key}.jsonl"


def _known(file: Path, *, with_lines: bool = True) -> Stored | None:
    """What ``file`` holds, if the files that it was made of are as they were; a damaged one is removed, with a word."""
    if not file.exists():
        return None
    try:
        values = (value for _, value in iter_values(file))
        head = next(values)
        if any(_state(name) != (tuple(state) if state else None) for name, state in head["files"]):
            return None
        lines = list(values) if with_lines else []
        if with_lines and _digest(map(json.dumps, lines)) != head["digest"]:
            raise ValueError("its lines are not those that were written")
        return Stored(dict(head["facts"]), lines, None)
    except (DataError, StopIteration, KeyError, TypeError, ValueError) as error:
        discard(file, str(error) or "it is empty")
        return None


def _keep(file: Path, made: Stored) -> None:
    if made.files is None:
        return
    state = [[str(each), _state(each)] for each in sorted(set(made.files))]
    lines = [json.dumps(line) for line in made.lines]
    head = {"files": state, "digest": _digest(lines), "facts": made.facts}
    with replacing(file) as part, part.open("w", encoding="utf-8") as out:
        for line in (json.dumps(head), *lines):
            out.write(line + "\n")


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _state(file: Path | str) -> State:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
