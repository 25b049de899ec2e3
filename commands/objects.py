"""`objects`: which objects one model hallucinates and another does not."""

from __future__ import annotations

import click

from commands import options
from commands.screen import out, print_json


@click.command("objects")
@click.argument("a")
@click.argument("b")
@click.option("--benchmark", help="Only this one; without it all that name objects.")
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Objects to show, by change.")
@options.db
@options.as_json
def command(a: str, b: str, benchmark: str | None, top: int, db: str, as_json: bool) -> None:
    """Which objects A hallucinates and B does not, largest change first (A, B: runs, base; or METHOD, METHOD@PANEL).

    Counts are hallucinated mentions of all mentions, the mean over seeds, on the answers that all seeds of both have.
    """
    import dama

    found = dama.objects(a, b, benchmark=benchmark, top=top, db=db)
    print_json(found.records) if as_json else out.print(found)
