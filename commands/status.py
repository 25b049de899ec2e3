"""`status`: what is stored, what is unfinished."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click

from commands import options
from commands.screen import line, out, print_facts, print_json

SHOWN = 6
"""Items that are named of what is left to do."""

MEND = "mend this first, then: "


@click.command("status")
@options.db
@options.as_json
def command(db: str, as_json: bool) -> None:
    """What the store holds, what runs and how long it will take, what is unfinished or failed and why, and what to do
    next."""
    from harness.store import Store
    from workflows.status import status

    facts = status(Store.planning(db))
    print_json(facts) if as_json else _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from rich.text import Text

    print_facts({name: facts[name] for name in ("db", "alignments", "evaluations")})
    for row in facts["running"]:
        _row("running", row["command"], [f"{row['where']}, since {row['started'][:19]} UTC", *_steps(row), *_more(row)])
    for row in facts["unfinished"]:
        _row(row["status"], row["name"], [row["where"], *_more(row)])
    for row in facts["stopped"]:
        _row(row["state"], f"{row['kind']} of {row['when'][:19]} UTC", _more(row))
    for row in facts["incomplete"]:
        counts = f"{row['run']} on {row['benchmark']}: {row['scored']} of {row['of']} scored, {row['failed']} failed"
        out.print(Text.assemble(("incomplete", "yellow"), "  ", counts))
        if row["mend"] and row["again"]:
            _below(["its files hold no more answers or replies", f"{MEND}{row['again']}"])
    for step in facts["next"]:
        out.print(Text.assemble(("next", "bold"), "  ", step), soft_wrap=True)


def _row(state: str, title: str, below: Sequence[str]) -> None:
    """A state with its subject, and lines about it."""
    line(f"{state}  {title}", style="yellow")
    _below(below)


def _below(texts: Sequence[str]) -> None:
    for text in texts:
        line(f"    {text}", style="dim")


def _steps(row: dict[str, Any]) -> list[str]:
    """How far each step under way is, and how long it will take."""
    return [
        f"{step}: {at['done']} of {at['total']}"
        + (f", {timedelta(seconds=round(at['seconds']))} left" if "seconds" in at else "")
        for step, at in row["steps"].items()
    ]


def _more(row: dict[str, Any]) -> list[str]:
    """Why it ended, what is left to do, the log that says more, and the command, where that comes after a mending."""
    to_do = row.get("to_do", [])
    more = f" and {len(to_do) - SHOWN} more" if len(to_do) > SHOWN else ""
    return [
        *([row["why"]] if row.get("why") else []),
        *([f"still to do ({len(to_do)}): {', '.join(to_do[:SHOWN])}{more}"] if to_do else []),
        *([f"log: {row['log']}"] if row.get("log") else []),
        *([f"{MEND}{row['resume']}"] if row.get("mend") and row["resume"] else []),
    ]
