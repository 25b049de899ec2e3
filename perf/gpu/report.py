"""What the parts found, as one JSON file and one Markdown page."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu.parts import Outcome, Row


def write(folder: Path, outcomes: Sequence[Outcome], facts: Row, logs: dict[str, str]) -> None:
    """Write results.json, results.md and log.txt (the end of each part's log) to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {**facts, "parts": [dataclasses.asdict(outcome) for outcome in outcomes]}
    texts = {
        "results.json": json.dumps(record, indent=1) + "\n",
        "results.md": page(outcomes, facts),
        "log.txt": "".join(f"==== {name}\n{text[-60_000:]}\n" for name, text in logs.items()),
    }
    for name, text in texts.items():
        part = folder / f"{name}.part"
        part.write_text(text)
        part.replace(folder / name)


def page(outcomes: Sequence[Outcome], facts: Row) -> str:
    """The parts as Markdown: how each ended, then a table of the rows of each."""
    lines = [f"# On {facts['device']}", "", f"{facts['date']}, `{facts['command']}`, {facts['seconds']:.0f} s.", ""]
    lines += table([{"part": o.title, "": o.status, "seconds": o.seconds, "why": o.why} for o in outcomes])
    for outcome in outcomes:
        if outcome.rows:
            lines += ["", f"## {outcome.title}", "", *table(outcome.rows)]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row]) -> list[str]:
    """A Markdown table whose columns are the keys of all ``rows``, in the order in which they come."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [_line(names), "|" + "---|" * len(names)]
    return lines + [_line([cell(row.get(name, "")) for name in names]) for row in rows]


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
