"""`bench`: models answer benchmarks, and their answers are scored."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands import options
from commands.evaluations import finish, print_cost, show_estimates
from commands.screen import INCOMPLETE, bars, line, out, print_json

if TYPE_CHECKING:
    from harness.store import EvaluationRecord


@click.command("bench")
@options.db
@options.assignments
@options.device
@options.judge
@options.budget
@options.prices
@options.resume
@options.dry_run
@options.limit
@options.as_json
@click.option("--suite", help="hallucination, general, all, or a YAML file.  [default: hallucination]")
@click.option("--benchmark", "names", multiple=True, help="A single benchmark (see `list`); may be repeated.")
@click.option("--model", "models", multiple=True, help="hf:DIR, run:NAME, replay:FILE; default: base and every run.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Benchmark data.  [default: the embedded world]")
@click.option("--share", is_flag=True, help="Share the work with other processes on the same --db (torchrun: set).")
@click.option(
    "--eos-bias",
    "eos_biases",
    type=float,
    multiple=True,
    help="Object HalBench once more with this bias on the end-of-sequence logit (longer answers below 0); may be "
    "repeated. Two of them, on both sides of 0, and CHAIRi can be compared at the base's coverage.",
)
@click.option("--shard", metavar="I/N", help="Only answer the I-th of N parts; score later, without this option.")
def command(
    db: str, assignments: tuple[str, ...], device: str, judge: str | None, budget: float | None, prices: str | None,
    resume: bool, dry_run: bool, limit: int | None, as_json: bool, suite: str | None, names: tuple[str, ...],
    models: tuple[str, ...], data_dir: Path | None, eos_biases: tuple[float, ...], shard: str | None, share: bool,
) -> None:  # fmt: skip
    """Answer benchmarks with models and score the answers.

    Settings of the judge: --set judge.KEY=VALUE; of a model: --set model.dtype=bfloat16, model.quantization=4bit,
    model.device_map=auto, model.batch_size=64.

    \b
    python cli.py bench --suite hallucination
    python cli.py bench --benchmark amber --model hf:llava-hf/llava-1.5-7b-hf --data-dir data/amber
    """
    from harness.evaluation.shard import Shard
    from harness.store import Store
    from workflows import bench as work
    from workflows.ablate import bench_root
    from workflows.judging import Judges, split_assignments
    from workflows.suites import members_of

    part = Shard.parse(shard) if shard else None
    words, judge_settings = split_assignments(assignments)
    words, loading = split_assignments(words, "model.")
    judges = Judges.of(judge, judge_settings, budget, prices)
    # Names and settings are checked before the embedded world is built, which takes minutes.
    defaults = None if data_dir else work.EMBEDDED_SETTINGS
    wanted = work.resolve_benchmarks(members_of(suite, names), words, defaults, limit, eos_biases)
    store = Store(db)
    how: dict[str, Any] = {"device": device, "loading": loading, "fresh": not resume}
    with bars() as shown:
        root = data_dir or bench_root(None, shown)
        eval_models = work.resolve_models(store, models, None if data_dir else work.embedded_base(shown))
        if dry_run:
            rows = [work.estimate(store, item, root, model, judges) for model in eval_models for item in wanted]
        elif part:
            how["progress"] = shown
            shards = [r for model in eval_models for r in work.answer_shard(store, model, wanted, root, part, **how)]
        else:
            records = work.bench_all(store, eval_models, wanted, root, judges, share=share, progress=shown, **how)
    if dry_run:
        show_estimates(rows, as_json)
    elif part:
        _finish_shards(shards, as_json)
    else:
        _finish(records, judges.spent, as_json)


def _finish(records: Sequence[EvaluationRecord], spent: float | None, as_json: bool) -> None:
    from harness.evaluation.score import result_object
    from harness.util.distributed import rank_and_world_size

    if rank_and_world_size()[0] > 0:
        return  # the first of torchrun's processes shows the figures of all
    print_cost(spent)
    finish(records, [result_object(record) for record in records], as_json)


def _finish_shards(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Say what a shard answered; exit 3 where an answer failed."""
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            out.print("  ".join(f"{name} {value}" for name, value in row.items()), highlight=False, markup=False)
        line("Answers stored. When all shards are done, the same command without --shard scores them.")
    if any(row["n_failed"] for row in rows):
        sys.exit(INCOMPLETE)
