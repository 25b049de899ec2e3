"""The parts of a measurement on a GPU, each a process of its own with a time limit; what came of each is a record."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
SPARE = 5.0
"""Seconds that are kept for writing the results and ending a part."""
LEAST = 15.0
"""Seconds under which a part is not begun."""
Status = Literal["done", "failed", "timeout", "skipped"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One measurement.

    Args:
        name: as `--only` takes it.
        title: as the table shows it.
        command: arguments of Python; the part writes its rows (a JSON list) to the file ``{out}``, as it finds them,
            in at most ``{seconds}``; ``{work}`` is a folder that the parts share.
        seconds: the most it may take.
        needs: packages of pyproject.toml without which it is skipped.
        read: reads the rows off the part's log instead of from its file.
    """

    name: str
    title: str
    command: Sequence[str]
    seconds: float
    needs: Sequence[str] = ()
    read: Callable[[str], list[Row]] | None = None


@dataclass
class Outcome:
    """What came of a part: ``why`` it is not done, and the ``rows`` that it found, also before it failed."""

    name: str
    title: str
    status: Status
    why: str = ""
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)


def missing(needs: Sequence[str]) -> str:
    """Which of the packages ``needs`` is not here, or not in the version that pyproject.toml asks for; "" if none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {each.name: each.specifier for each in map(Requirement, project["dependencies"])}
    found = []
    for name in needs:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} is not here")
            continue
        if name in wanted and not wanted[name].contains(version, prereleases=True):
            found.append(f"{name} {version} is here, {wanted[name]} is needed")
    return "; ".join(found) + (": give its wheel (--wheels)" if found else "")


def run(part: Part, work: Path, left: float) -> tuple[Outcome, str]:
    """Run ``part`` in ``work`` while at most ``left`` seconds are there; returns what came of it, and its log."""
    outcome = Outcome(part.name, part.title, "skipped")
    limit = min(part.seconds, left - SPARE)
    outcome.why = missing(part.needs) or ("no time was left" if left - SPARE < LEAST else "")
    if outcome.why:
        return outcome, ""
    out, log = work / f"{part.name}.json", work / f"{part.name}.log"
    words = {"{out}": str(out), "{work}": str(work), "{seconds}": f"{limit - 2:.0f}"}
    command = [sys.executable, *(words.get(word, word) for word in part.command)]
    began = time.monotonic()
    with log.open("wb") as into:
        process = subprocess.Popen(
            command,
            stdout=into,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
    outcome.seconds = time.monotonic() - began
    text = log.read_text(errors="replace")
    outcome.rows = part.read(text) if part.read else _rows(out)
    outcome.status, outcome.why = _judged(code, limit, text)
    return outcome, text


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends all processes of the part's session, also those that it left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            continue


def _judged(code: int | None, limit: float, log: str) -> tuple[Status, str]:
    if code is None:
        return "timeout", f"ended after {limit:.0f} s"
    if code == 0:
        return "done", ""
    last = next((line.strip() for line in reversed(log.splitlines()) if line.strip()), "no output")
    return "failed", f"exit code {code}: {last[:300]}"


def _rows(file: Path) -> list[Row]:
    try:
        rows: list[Row] = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    return rows


def write_rows(file: Path, rows: Sequence[Row]) -> None:
    """In a part: what it found so far, whole or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(list(rows)))
    part.replace(file)
