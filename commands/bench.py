"""`bench`: models answer benchmarks, and their answers are scored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands import options
from commands.evaluations import finish, show_estimates
from commands.screen import INCOMPLETE, line, out, print_json

if TYPE_CHECKING:
    from workflows.curve_points import Bias


@click.command("bench")
@options.db
@options.assignments
@options.device
@options.judge
@options.budget
@options.prices
@options.resume
@options.probe
@options.dry_run
@options.drawn
@options.cluster
@options.as_json
@click.option("--suite", help="hallucination, general, all, or a YAML file.  [default: hallucination]")
@click.option("--benchmark", "names", multiple=True, help="A single benchmark (see `list`); may be repeated.")
@click.option("--model", "models", multiple=True, help="hf:DIR, run:NAME, replay:FILE; default: base and every run.")
@click.option("--name", help="What the model's row is called; of one --model.  [default: its path or id's last part]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Benchmark data.  [default: the embedded world]")
@click.option("--share", is_flag=True, help="Share the work with other processes on the same --db (torchrun: set).")
@click.option(
    "--eos-bias",
    "eos_biases",
    type=options.Bias(),
    metavar="NUMBER|auto",
    multiple=True,
    help="Object HalBench, or without it another benchmark of coverage, once more with this bias on the "
    "end-of-sequence logit (longer answers below 0); may be repeated. auto adds as many as it takes to compare CHAIRi "
    "at the base's coverage: at most 6 a model, none beyond -8 and 8.",
)
@click.option("--shard", metavar="I/N", help="Only answer the I-th of N parts; score later, without this option.")
def command(
    db: str, assignments: tuple[str, ...], device: str, judge: str | None, budget: float | None, prices: str | None,
    resume: bool, probe: bool, dry_run: bool, limit: int | None, as_json: bool, suite: str | None,
    names: tuple[str, ...], name: str | None, models: tuple[str, ...], data_dir: Path | None,
    eos_biases: tuple[Bias, ...],
    shard: str | None, share: bool, cluster: str | None, workers: int | None, gpus_per_worker: float | None,
) -> None:  # fmt: skip
    """Answer benchmarks with models and score the answers.

    Without --data-dir the embedded world is used, built in $DAMA_HOME (default: ./artifacts) if absent:
    minutes; --dry-run builds nothing.

    Settings of the judge: --set judge.KEY=VALUE; of a model: --set model.dtype=bfloat16, model.quantization=4bit,
    model.device_map=auto, model.batch_size=64.

    \b
    python cli.py bench --suite hallucination
    python cli.py bench --benchmark amber --model hf:llava-hf/llava-1.5-7b-hf --data-dir data/amber
    """
    import dama
    from harness.evaluation.shard import Shard
    from harness.util.distributed import rank_and_world_size
    from harness.util.options import parse_assignments
    from workflows.bars import bars
    from workflows.requests import BenchOptions

    part = Shard.parse(shard) if shard else None
    asked = BenchOptions(
        suite=suite, benchmark=names, model=models, name=name, data_dir=data_dir, judge=judge, budget=budget,
        prices=prices, settings=parse_assignments(assignments), eos_bias=eos_biases, limit=limit,
        device=device, fresh=not resume, probe=probe, cluster=cluster, workers=workers,
        gpus_per_worker=gpus_per_worker, db=db,
    )  # fmt: skip
    if dry_run:
        with bars() as progress:
            estimates = asked.estimates(progress)
        show_estimates(estimates, as_json)
    elif part:
        with bars() as progress:
            rows = asked.resolve(progress, judged=False).answer_shard(part, progress)
        _finish_shards(rows, as_json)
    else:
        result = dama.bench(**vars(asked), share=share)
        if rank_and_world_size()[0] == 0:  # the first of torchrun's processes shows the figures of all
            finish(result, as_json, db)


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
