"""`import-model`: a checkpoint of LLaVA's own repository in the layout that transformers loads."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from commands import options
from commands.screen import out, print_facts, print_json


@click.command("import-model")
@click.argument("source", metavar="DIR")
@options.as_json
@click.option("--out", "folder", type=options.FOLDER, help="Directory.  [default: DIR-hf]")
@click.option("--base", help="What LoRA alone was trained on.  [default: as adapter_config.json says]")
@click.option("--vision-tower", help="The CLIP it sees with.  [default: as its config.json says]")
def command(source: str, as_json: bool, folder: Path | None, base: str | None, vision_tower: str | None) -> None:
    """Convert DIR (or a hub id), a LLaVA-1.5 as its own repository saves it, to the layout of llava-hf on the hub.

    DAMA's, RLAIF-V's, OPA-DPO's and most other released checkpoints of LLaVA-1.5 are in that layout (model_type
    llava_llama), also as LoRA alone with non_lora_trainables.bin.

    \b
    python cli.py import-model RLAIF-V-7B --out rlaif-v-7b-hf
    python cli.py import-model llava-lora --base llava-v1.5-7b --vision-tower clip-vit-large-patch14-336
    """
    from workflows.bars import bars
    from workflows.import_model import import_model

    target = folder or Path(f"{Path(source).name}-hf")
    with bars() as shown:
        made = import_model(source, target, base=base, vision_tower=vision_tower, progress=shown)
    facts = {name: value for name, value in asdict(made).items() if value is not None} | {"folder": str(made.folder)}
    if as_json:
        print_json(facts)
        return
    print_facts(facts)
    out.print(f"\nNext: python cli.py bench --model {made.folder} --data-dir DIR", highlight=False, markup=False)
