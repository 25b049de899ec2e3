"""`status`: what is stored, what is unfinished."""

from __future__ import annotations

from typing import Any

import click

from commands import options
from commands.screen import out, print_facts, print_json


@click.command("status")
@options.db
@options.as_json
def command(db: str, as_json: bool) -> None:
    """What the store holds, what is unfinished or failed, and what to do next."""
    from harness.store import Store
    from workflows.status import status

    facts = status(Store(db))
    print_json(facts) if as_json else _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from rich.text import Text

    print_facts({name: facts[name] for name in ("db", "alignments", "evaluations")})
    for row in facts["unfinished"]:
        out.print(Text.assemble((row["status"], "yellow"), "  ", row["name"], "  ", (row["where"], "dim")))
    for row in facts["incomplete"]:
        counts = f"{row['run']} on {row['benchmark']}: {row['scored']} of {row['of']} scored, {row['failed']} failed"
        out.print(Text.assemble(("incomplete", "yellow"), "  ", counts))
    for step in facts["next"]:
        out.print(Text.assemble(("next", "bold"), "  ", step), soft_wrap=True)
