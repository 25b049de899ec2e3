"""`rejudge`: a sample of stored answers judged again by another judge."""

from __future__ import annotations

import sys

import click

from commands import options
from commands.evaluations import show_estimates
from commands.screen import INCOMPLETE, err, out, print_json


@click.command("rejudge")
@click.option("--judge", required=True, help="The other judge: openai:NAME[@BASE_URL], hf:ID_OR_DIR, replay:FILE...")
@click.option(
    "--sample", type=click.IntRange(min=1), default=100, show_default=True, help="Questions drawn of each benchmark."
)
@click.option("--benchmark", "benchmarks", multiple=True, help="Only this benchmark; may be repeated.")
@click.option("--run", "runs", multiple=True, help="Only the answers of this run or method; may be repeated.")
@click.option("--of", "of", metavar="JUDGE", help="Whose figures are checked.  [default: the judge that there is]")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the drawing.")
@options.budget
@options.prices
@options.assignments
@options.dry_run
@options.db
@options.as_json
def command(
    judge: str, sample: int, benchmarks: tuple[str, ...], runs: tuple[str, ...], of: str | None, seed: int,
    budget: float | None, prices: str | None, assignments: tuple[str, ...], dry_run: bool, db: str, as_json: bool,
) -> None:  # fmt: skip
    """Judge a drawn part of the stored answers again, by another judge: does the ranking hold?

    Prints Krippendorff's alpha of the two, every run's shift with its interval, and which pairs of runs change their
    order. Replies are stored, and the same command asks nothing twice; no evaluation is, and no row changes.
    """
    import dama
    from harness.util.options import parse_assignments
    from workflows.rejudge import RejudgeOptions

    asked = RejudgeOptions(
        judge=judge, sample=sample, benchmark=benchmarks, run=runs, of=of, seed=seed, budget=budget, prices=prices,
        settings=parse_assignments(assignments), db=db,
    )  # fmt: skip
    if dry_run:
        show_estimates(asked.estimates(), as_json)
        return
    found = dama.rejudge(**vars(asked))
    if found.usd:
        err.print(f"The judge cost ${found.usd:.4f}.", highlight=False)
    print_json(found.facts) if as_json else out.print(found)
    if not found.complete:
        sys.exit(INCOMPLETE)
