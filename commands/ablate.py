"""`ablate`: every method of a recipe, aligned, benchmarked and compared."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import err, line, out, print_json
from harness.errors import HarnessError


@click.command("ablate")
@options.db
@options.device
@options.as_json
@click.option("--recipe", type=options.RECIPE, help="Default: recipes/ablation.yaml.")
@options.recipe_folder
def command(db: str, device: str, as_json: bool, recipe: Path | None, folder: Path) -> None:
    """Align with every method of a recipe, benchmark base and all, and show them in one table.

    What is stored already is not done again; a run of the same name with other settings is replaced."""
    from recipes import RECIPES

    run_recipe(recipe or RECIPES / "ablation.yaml", db, device, folder, as_json)


def run_recipe(recipe: Path, db: str, device: str, folder: Path, as_json: bool) -> None:
    """Run a recipe of `ablate` and show its report; runs that failed raise a HarnessError after it."""
    from harness.store import Store
    from harness.util.options import read_yaml
    from harness.util.paths import home
    from leaderboards.conclusion import conclusions
    from leaderboards.formats.terminal import Terminal
    from workflows.ablate import ablate
    from workflows.ablation import read_ablation
    from workflows.bars import bars
    from workflows.report import leaderboard_view, typical_of_scene, write_report

    store = Store(db)
    with bars() as shown:
        failures = ablate(
            read_ablation(read_yaml(recipe)),
            db,
            device=device,
            log=lambda text: line(text, console=shown.console),
            progress=lambda done, total: shown("runs", done, total),
            steps=shown,
        )
    with err.status("writing the report"):
        view = leaderboard_view(store)
        files = write_report(view, folder)
    if as_json:
        print_json({"failures": failures, "db": db, "files": [str(file) for file in files]})
    else:
        for block in Terminal().rich(view):
            out.print(block)
        out.print(typical_of_scene(view.snapshot) or "", highlight=False, markup=False)
        line(f"\nResults  {Path(db).resolve()}\nModels   {(home() / 'aligned').resolve()}")
        for file in files:
            line(f"Report   {file.resolve()}")
        line("\n" + "\n".join(conclusions(view.tables)))
    if failures:
        raise HarnessError(
            "Some runs failed; the others are stored, and the same command tries these again:\n  "
            + "\n  ".join(failures)
        )
