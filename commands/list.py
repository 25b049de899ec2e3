"""`list`: what is registered and what is stored."""

from __future__ import annotations

import click

from commands import options
from commands.screen import line, out, print_json

LONGEST = 600
"""Characters of a value on the screen; `--json` has all."""
KINDS = ("aligners", "benchmarks", "suites", "judges", "models", "splitters", "formats", "settings", "runs")


@click.command("list")
@click.argument("what", type=click.Choice(KINDS))
@options.db
@options.as_json
def command(what: str, db: str, as_json: bool) -> None:
    """What there is: aligners, benchmarks, suites, judges, models, splitters, formats, settings, runs."""
    from rich.text import Text

    from workflows.listing import listing

    rows = listing(what, db)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        out.print(Text(row["name"], "bold"))
        for name, value in row.items():
            if name != "name" and value not in ("", None):
                out.print(Text(f"  {name}  ", "dim"), end="")
                text = str(value)
                line(text if len(text) <= LONGEST else f"{text[:LONGEST]} ... (all of it: --json)")
