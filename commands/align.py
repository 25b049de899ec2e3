"""`align`: a model trained on preference pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commands import options
from commands.screen import bars, out, print_facts, print_json


@click.command("align")
@options.db
@options.assignments
@options.device
@options.resume
@options.dry_run
@options.limit
@options.as_json
@click.option("--method", help="Aligner: see `list aligners`.  [default: dama]")
@click.option("--model", help="Hub id or directory of an image-text-to-text model.")
@click.option("--data", help="Preference pairs: JSONL, parquet or hub id.  [default: the embedded world]")
@click.option("--recipe", type=options.RECIPE, help="YAML of settings.")
@click.option("--name", help="Name of the run.  [default: METHOD-sSEED, with other settings METHOD-sSEED-KEY]")
@click.option("--seed", type=int, help="Seed of data order and sampling.  [default: 0]")
def command(
    db: str, assignments: tuple[str, ...], device: str, resume: bool, dry_run: bool, limit: int | None,
    as_json: bool, recipe: Path | None, **given: Any,
) -> None:  # fmt: skip
    """Align a model on preference pairs.

    \b
    python cli.py align --method dama
    python cli.py align --method dpo --model DIR --data pairs.jsonl --set lr=5e-7 --set lora_rank=64
    """
    from harness.store import Store
    from harness.util.options import parse_assignments
    from workflows.align import align, resolve_alignment, with_unique_name
    from workflows.align import dry_run as estimated
    from workflows.settings import gather

    settings = gather(recipe, parse_assignments(assignments), {**given, "limit": limit, "device": device})
    store = Store(db)
    with bars() as shown:
        spec = resolve_alignment(settings, shown)
        spec = with_unique_name(store, spec, named="name" in settings, fresh=not resume)
        facts = estimated(spec, shown) if dry_run else {}
        record = None if dry_run else align(store, spec, fresh=not resume, progress=shown)
    if record is None:
        print_json(facts) if as_json else print_facts({**facts, "estimate": "", **facts["estimate"]})
        return
    last = (store.train_log(record.name) or [{}])[-1]
    facts = {"name": record.name, "model_dir": record.model_dir, "seconds": round(record.seconds, 1), **last}
    if as_json:
        print_json({**facts, "config": record.config, "info": record.info})
        return
    print_facts(facts)
    following = f"\nNext: python cli.py bench --suite hallucination --model run:{record.name}"
    out.print(following, highlight=False, markup=False)
