"""The table of a run, for the terminal and for docs/reliability.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.counts import TRIED, WRONGS, Counts, total

BEGIN, END = "<!-- table: written by python -m tests.faults --write-docs -->", "<!-- end of the table -->"
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
    about = f"`{stored['command']}`, {stored['date']}, {stored['cores']} cores, Python {stored['python']}. {wrong}."
    before, _, rest = page.partition(BEGIN)
    return before + "\n".join([BEGIN, "", *lines, "", about, "", END]) + rest.partition(END)[2]
