"""`agree`: the agreement of two judges, of the runs of one, or of a judge and people."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import out, print_json


@click.command("agree")
@click.argument("a")
@click.argument("b", required=False)
@click.option(
    "--human",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSONL or CSV of labels by people, in place of B: id, label (a number, yes or no), run if several.",
)
@click.option("--benchmark", "benchmarks", multiple=True, help="Only this benchmark; may be repeated.")
@click.option("--run", "runs", multiple=True, help="Only the answers of this run; may be repeated.")
@click.option("--rating", help="The number of a verdict that is compared.  [default: those the benchmark declares]")
@click.option(
    "--level",
    type=click.Choice(("nominal", "ordinal", "interval")),
    help="What differences between ratings mean.  [default: as the benchmark declares]",
)
@options.db
@options.as_json
def command(
    a: str, b: str | None, human: Path | None, benchmarks: tuple[str, ...], runs: tuple[str, ...], rating: str | None,
    level: str | None, db: str, as_json: bool,
) -> None:  # fmt: skip
    """How far A and B agree about the same answers: judges as the tables name them, or one run of a judge (JUDGE#0).

    A alone: how far its own runs agree.

    Cohen's kappa, Krippendorff's alpha with its interval, which of the two rates higher, and what share of a rating's
    variance the runs of a judge add.
    """
    import dama

    found = dama.agree(a, b, human=human, benchmark=benchmarks, run=runs, rating=rating, level=level, db=db)
    print_json(found.records) if as_json else out.print(found)
