"""`score`: answers made elsewhere, scored here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from commands import options
from commands.evaluations import finish, show_estimates
from commands.screen import note

IDS_SHOWN = 100


@click.command("score")
@options.db
@options.assignments
@options.judge
@options.budget
@options.prices
@options.dry_run
@options.cluster
@options.as_json
@click.option("--benchmark", "name", required=True, help="See `list benchmarks`.")
@click.option(
    "--responses", required=True, type=click.Path(path_type=Path), help="JSONL of id and response, or an official file."
)
@click.option("--name", "run", help="What the row is called.  [default: the file's name]")
@click.option(
    "--data-dir", required=True, type=click.Path(path_type=Path), help="The benchmark's folder, or its parent."
)
@click.option("--replies", type=click.Path(path_type=Path), help='JSONL of recorded replies {"id", "reply", "run"}.')
def command(
    db: str, assignments: tuple[str, ...], judge: str | None, budget: float | None, prices: str | None, dry_run: bool,
    as_json: bool, name: str, responses: Path, run: str | None, data_dir: Path, replies: Path | None,
    cluster: str | None, workers: int | None, gpus_per_worker: float | None,
) -> None:  # fmt: skip
    """Score answers made elsewhere, with a live or a recorded judge. Settings of the judge: --set judge.KEY=VALUE.

    Answers of one decoding share a column. A file does not say how its own were generated: they count as by the
    benchmark's protocol, or as --set decoding.NAME=VALUE says (decoding.max_new_tokens=64)."""
    import dama
    from harness.util.options import parse_assignments
    from workflows.requests import ScoreOptions
    from workflows.score import column_note

    asked = ScoreOptions(
        benchmark=name, responses=responses, name=run, data_dir=data_dir, judge=judge, replies=replies, budget=budget,
        prices=prices, settings=parse_assignments(assignments), cluster=cluster, workers=workers,
        gpus_per_worker=gpus_per_worker, db=db,
    )  # fmt: skip
    if dry_run:
        show_estimates([asked.estimate()], as_json)
        return
    scored = dama.score(**vars(asked))
    missing = scored.missing
    if len(missing) == scored.n:
        note(f"{responses}: there are no answers in it; all {scored.n} samples are missing.")
    elif missing:
        note(f"{len(missing)} of {scored.n} samples have no answer: {_listed(missing, whole=as_json)}")
    note(column_note(db, scored.record))
    finish(scored, as_json, db)


def _listed(ids: Sequence[str], *, whole: bool) -> str:
    if whole or len(ids) <= IDS_SHOWN:
        return ", ".join(ids)
    return f"{', '.join(ids[:IDS_SHOWN])} and {len(ids) - IDS_SHOWN} more (--json lists all)"
