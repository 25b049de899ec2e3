"""`compare`: paired differences between two runs."""

from __future__ import annotations

import click

from commands import options
from commands.screen import out, print_json


@click.command("compare")
@click.argument("a")
@click.argument("b")
@options.db
@options.as_json
def command(a: str, b: str, db: str, as_json: bool) -> None:
    """Paired differences between A and B (runs; or METHOD, METHOD@PANEL: all seeds) on the samples both answered."""
    from harness.store import Store
    from leaderboards.formats.comparison_view import comparison_table
    from leaderboards.formats.data import comparison_records
    from workflows.report import comparison

    comparisons = comparison(Store.existing(db), a, b)
    print_json(comparison_records(comparisons)) if as_json else out.print(comparison_table(comparisons, a, b))
