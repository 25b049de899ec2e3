"""`compare`: paired differences between two runs."""

from __future__ import annotations

import click

from commands import options
from commands.screen import note, out, print_json


@click.command("compare")
@click.argument("a")
@click.argument("b")
@options.db
@options.as_json
def command(a: str, b: str, db: str, as_json: bool) -> None:
    """Paired differences between A and B (runs; or METHOD, METHOD@PANEL: all seeds) on the samples both answered."""
    import dama

    compared = dama.compare(a, b, db=db)
    for text in compared.left_out:
        note(text, style="yellow")
    print_json(compared.records) if as_json else out.print(compared)
