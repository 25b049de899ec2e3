"""`db`: care of the results file."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import print_facts, print_json


@click.command("db")
@click.argument("action", type=click.Choice(["info", "check", "vacuum", "backup"]), default="info")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@options.db
@options.as_json
def command(action: str, file: Path | None, db: str, as_json: bool) -> None:
    """Look after the results file: rows by table, check it, shrink it, copy it (backup FILE)."""
    from harness.store import Store
    from workflows.status import care

    facts = care(Store.existing(db), action, file)
    print_json(facts) if as_json else print_facts(facts)
