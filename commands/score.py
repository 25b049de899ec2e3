"""`score`: answers made elsewhere, scored here."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.evaluations import finish, print_cost, show_estimates
from commands.screen import bars, note
from harness.errors import UsageError

IDS_SHOWN = 100


@click.command("score")
@options.db
@options.assignments
@options.judge
@options.budget
@options.prices
@options.dry_run
@options.as_json
@click.option("--benchmark", "name", required=True, help="See `list benchmarks`.")
@click.option("--responses", required=True, type=click.Path(path_type=Path), help='JSONL of {"id", "response"}.')
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="The benchmark's own data folder.")
@click.option("--replies", type=click.Path(path_type=Path), help='JSONL of recorded replies {"id", "reply", "run"}.')
def command(
    db: str, assignments: tuple[str, ...], judge: str | None, budget: float | None, prices: str | None, dry_run: bool,
    as_json: bool, name: str, responses: Path, data_dir: Path, replies: Path | None,
) -> None:  # fmt: skip
    """Score answers made elsewhere, with a live or a recorded judge. Settings of the judge: --set judge.KEY=VALUE."""
    from harness.evaluation.score import result_object
    from harness.store import Store
    from harness.util.options import parse_assignments
    from workflows import bench as work
    from workflows.estimate import estimate_benchmark
    from workflows.judging import Judges, split_assignments

    if judge and replies:
        raise UsageError("--judge and --replies: give one of them.")
    words, judge_settings = split_assignments(assignments)
    judges = Judges.of(f"replay:{replies}" if replies else judge, judge_settings, budget, prices)
    settings, store = parse_assignments(words), Store(db)
    given = work.read_answers(name, settings, responses, data_dir)
    if dry_run:
        model = f"replay:{responses}"
        row = estimate_benchmark(store, given.benchmark, given.samples, model, judges, data_dir, answers=given.answers)
        show_estimates([row], as_json)
        return
    with bars() as shown:
        record = work.score(store, given, settings, responses, data_dir, judges, shown)
    if not given.answers:
        note(f"{responses}: there are no answers in it; all {record.n} samples are missing.")
    elif given.missing:
        note(f"{len(given.missing)} of {record.n} samples have no answer: {_listed(given.missing, whole=as_json)}")
    print_cost(judges.spent)
    finish([record], result_object(record), as_json)


def _listed(ids: list[str], *, whole: bool) -> str:
    if whole or len(ids) <= IDS_SHOWN:
        return ", ".join(ids)
    return f"{', '.join(ids[:IDS_SHOWN])} and {len(ids) - IDS_SHOWN} more (--json lists all)"
