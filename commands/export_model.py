"""`export-model`: a run's model as a directory of its own, and on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands import options
from commands.screen import out, print_facts, print_json

if TYPE_CHECKING:
    from workflows.export_model import Dtype


@click.command("export-model")
@click.argument("run")
@options.db
@options.as_json
@click.option("--merge", is_flag=True, help="Add the adapters to the weights: a whole model, for engines without LoRA.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="Of a merged model; auto: the base's. Half precision rounds the adapter's update.",
)
@click.option("--out", "folder", type=options.FOLDER, help="Directory.  [default: models/RUN]")
@click.option("--push-to-hub", "hub_id", metavar="ID", help="Upload to the Hugging Face hub, private.")
@click.option("--public", is_flag=True, help="A repository that --push-to-hub makes is public.")
def command(
    run: str,
    db: str,
    as_json: bool,
    merge: bool,
    dtype: Dtype,
    folder: Path | None,
    hub_id: str | None,
    public: bool,
) -> None:
    """The model of RUN as a directory that transformers, peft and vLLM load: whole, or an adapter of its base.

    \b
    python cli.py export-model dama-s0 --merge --out dama-7b
    python cli.py export-model dama-s0 --push-to-hub me/dama-7b-lora
    """
    from harness.store import Store
    from workflows.bars import bars
    from workflows.export_model import export_model

    target = folder or Path("models") / run.removeprefix("run:")
    with bars() as shown:
        made = export_model(
            Store.reading(db), run, target, merge=merge, dtype=dtype, hub_id=hub_id, public=public, progress=shown
        )
    facts = {"folder": str(made.folder), "kind": made.kind, "base": made.base, "dtype": made.dtype, "url": made.url}
    if as_json:
        print_json(facts)
        return
    print_facts({name: value for name, value in facts.items() if value is not None})
    if made.kind == "model":
        out.print(f"\nNext: vllm serve {made.folder}, or --model {made.folder}", highlight=False, markup=False)
