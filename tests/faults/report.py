"""The table of a run, for the terminal and for docs/reliability.md."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.counts import TRIED, WRONGS, Counts, total
from tests.house import ROOT

BEGIN, END = "<!-- table: written by python -m tests.faults --write-docs -->", "<!-- end of the table -->"
ROOMS = ("aligners", "benchmarks", "commands", "harness", "leaderboards", "recipes", "tinyworld", "workflows")
SHOWN = 12
"""Findings shown of a scenario; the file of --json has all."""


def as_text(parts: Sequence[Counts]) -> str:
    """What was tried and found by scenario, what each finding is, and a last line of totals."""
    width = max(len(part.name) for part in parts)
    heads = [f"{'':{width}}", *(f"{what:>13}" for what in TRIED), f"{'wrong':>7}", f"{'seconds':>9}"]
    lines = ["".join(heads)]
    for part in parts:
        tried = "".join(f"{part.tried[what]:>13,}" for what in TRIED)
        lines.append(f"{part.name:{width}}{tried}{len(part.wrong):>7}{part.seconds:>9.0f}")
    for part in parts:
        lines += [f"{kind}: {what}" for kind, what in part.wrong[:SHOWN]]
        lines += [f"... and {len(part.wrong) - SHOWN} more of {part.name}"] if len(part.wrong) > SHOWN else []
    return "\n".join([*lines, last_line(total(list(parts)))])


def last_line(summed: Counts) -> str:
    """The totals: what was tried; what went wrong."""
    tried = ", ".join(f"{summed.tried[what]:,} {what}" for what in TRIED)
    wrong = ", ".join(f"{kind} {summed.wrongs[kind]}" for kind in WRONGS)
    return f"{tried}; {wrong}"


def code() -> str:
    """The state of the code that is disturbed: a digest of the project's modules, tests and documents aside."""
    digest = hashlib.sha256()
    for file in sorted(ROOT.glob("*.py")) + sorted(f for room in ROOMS for f in (ROOT / room).rglob("*.py")):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def runs_of(stored: Mapping[str, Any]) -> list[str]:
    """The commands that the parts of ``stored`` were found by, with date and machine; behind all but the first (which
    is of most parts) which parts those are. A part of other code than most says so."""
    about = ("command", "date", "cores", "python", "code")
    runs: dict[tuple[Any, ...], list[str]] = {}
    for part in stored["parts"]:
        runs.setdefault(tuple(part.get(name, stored.get(name, "")) for name in about), []).append(part["name"])
    ordered = sorted(runs.items(), key=lambda item: -len(item[1]))
    lines = []
    for number, ((command, date, cores, python, of), names) in enumerate(ordered):
        which = f" ({', '.join(names)})" if number else ""
        other = "" if of == ordered[0][0][-1] else ", of another state of the code"
        lines.append(f"`{command}`{which}, {date}, {cores} cores, Python {python}{other}.")
    return lines


def as_markdown(stored: Mapping[str, Any], page: str) -> str:
    """``page`` with the table of the run ``stored`` (of --json) between its marks."""
    parts = [Counts.of_json(part) for part in stored["parts"]]
    rows = [["command or situation", *TRIED, "wrong"]]
    rows += [[part.name, *(f"{part.tried[what]:,}" for what in TRIED), str(len(part.wrong))] for part in parts]
    summed = total(parts)
    rows += [["**together**", *(f"{summed.tried[what]:,}" for what in TRIED), str(len(summed.wrong))]]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|" + "---:|" * (len(TRIED) + 1))
    wrong = ", ".join(f"{kind} {summed.wrongs[kind]}" for kind in WRONGS)
    about = "\n".join([*runs_of(stored), "", f"{wrong[0].upper()}{wrong[1:]}."])
    before, _, rest = page.partition(BEGIN)
    return before + "\n".join([BEGIN, "", *lines, "", about, "", END]) + rest.partition(END)[2]
