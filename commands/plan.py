"""`plan`: how many seeds, samples, judge runs and USD a wanted difference takes."""

from __future__ import annotations

import click

from commands import options
from commands.screen import out, print_json


@click.command("plan")
@click.argument("a")
@click.argument("b", default="base")
@click.option("--benchmark", help="Whose metric.  [default: the only one that both were run on]")
@click.option("--metric", help="What is compared.  [default: the benchmark's primary metric]")
@click.option("--difference", type=float, help="The one that is to be seen.")
@click.option(
    "--comparisons",
    type=int,
    default=1,
    show_default=True,
    help="As many pairs of rows will be compared at once (10 of 5 rows): Holm's first level is 5 % over this number.",
)
@click.option(
    "--power",
    type=float,
    default=0.8,
    show_default=True,
    help="The chance to see it, above 0.5 and below 1.",
)
@click.option("--judge-runs", type=int, help="Of the table.  [default: as many as the pilot has]")
@options.prices
@options.db
@options.as_json
def command(
    a: str, b: str, benchmark: str | None, metric: str | None, difference: float | None, comparisons: int,
    power: float, judge_runs: int | None, prices: str | None, db: str, as_json: bool,
) -> None:  # fmt: skip
    """What seeing a difference of A and B takes, from what is stored of both: seeds, samples, judge runs, USD.

    A and B are rows of a table (METHOD, METHOD@PANEL, a run, base). What is stored is the pilot: its variances over
    samples, training seeds and judge runs are projected to other numbers of each.
    """
    import dama

    planned = dama.plan(
        a, b, benchmark=benchmark, metric=metric, difference=difference, comparisons=comparisons, power=power,
        judge_runs=judge_runs, prices=prices, db=db,
    )  # fmt: skip
    print_json(planned.record) if as_json else out.print(planned)
