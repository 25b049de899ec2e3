"""`doctor`: what is installed, what is missing."""

from __future__ import annotations

import sys

import click

from commands import options
from commands.screen import out, print_json

MARKS = {"ok": "[green]ok[/]", "missing": "[yellow]--[/]", "bad": "[red]!![/]"}


@click.command("doctor")
@options.as_json
def command(as_json: bool) -> None:
    """What is installed, which device is used, which optional parts are missing and how to add them."""
    from rich.markup import escape

    from workflows.doctor import checks

    rows = checks()
    if as_json:
        print_json(rows)
        return
    for row in rows:
        text = f"{MARKS[row['state']]}  [bold]{row['name']}[/]  {escape(row['detail'])}"
        out.print(text, highlight=False, soft_wrap=True)
    if any(row["state"] == "bad" for row in rows):
        sys.exit(1)
