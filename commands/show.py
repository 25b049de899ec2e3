"""`show`: everything stored of a run."""

from __future__ import annotations

import click

from commands import options
from commands.screen import out, print_json


@click.command("show")
@click.argument("run")
@options.db
@options.as_json
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many answers to show of every benchmark.",
)
@click.option("--sample", "wanted", metavar="ID", multiple=True, help="Show the answers to this sample, whole.")
def command(run: str, db: str, as_json: bool, samples: int, wanted: tuple[str, ...]) -> None:
    """Everything stored of RUN: settings, figures, and some of its answers with the judge's replies.

    Where the output has no colours, [[words]] stand for hallucinated objects.
    """
    from harness.store import Store
    from leaderboards.snapshot import Snapshot
    from workflows.report import run_facts, run_page

    if as_json:
        print_json(run_facts(Snapshot(Store.reading(db)), run, samples, wanted))
        return
    for block in run_page(Store.reading(db), run, samples, wanted):
        out.print(block)
