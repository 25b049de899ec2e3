"""`demo`: the whole chain on the embedded world."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.ablate import run_ablation


@click.command("demo")
@options.db
@options.device
@options.as_json
@click.option("--recipe", type=options.RECIPE, help="Default: recipes/demo.yaml.")
@options.recipe_folder
def command(db: str, device: str, as_json: bool, recipe: Path | None, folder: Path) -> None:
    """Run the whole chain on the embedded world: pairs, hardness, four methods, three benchmarks, leaderboard."""
    from harness.util.options import read_yaml
    from recipes import RECIPES
    from workflows.ablation import read_ablation

    ablation = read_ablation(read_yaml(recipe or RECIPES / "demo.yaml"))
    run_ablation(ablation, db, device, folder, as_json)
