"""`ablate`: every method of a recipe, aligned, benchmarked and compared."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands import options
from commands.screen import INCOMPLETE, err, line, note, out, print_json
from harness.errors import HarnessError

if TYPE_CHECKING:
    from harness.cluster.connection import ClusterOptions
    from leaderboards.view import View
    from workflows.ablation import Ablation


@click.command("ablate")
@options.db
@options.device
@options.budget
@options.prices
@options.where
@options.dry_run
@options.as_json
@click.option("--recipe", type=options.RECIPE, help="Default: recipes/ablation.yaml.")
@options.drawn
@options.cluster
@options.recipe_folder
def command(
    db: str, device: str, budget: float | None, prices: str | None, dry_run: bool, as_json: bool, recipe: Path | None,
    limit: int | None, where: tuple[str, ...], folder: Path,
    cluster: str | None, workers: int | None, gpus_per_worker: float | None,
) -> None:  # fmt: skip
    """Align with every method of a recipe, benchmark base and all, and show them in one table.

    What is stored already is not done again; a run of the same name with other settings is replaced. --budget is of all
    runs: they are done one after the other then, and those that the money does not reach are not begun."""
    from harness.cluster.connection import ClusterOptions
    from harness.util.options import overlay, read_yaml
    from recipes import RECIPES
    from workflows.ablation import read_ablation

    place = ClusterOptions(cluster=cluster, workers=workers, gpus_per_worker=gpus_per_worker)
    given = {"limit": limit, "budget": budget, "prices": prices}
    values = read_yaml(recipe or RECIPES / "ablation.yaml")
    values = overlay(values, {"common": {"where": list(where)}} if where else {})
    ablation = read_ablation({**values, **{name: value for name, value in given.items() if value is not None}})
    if dry_run:
        _show_plan(ablation, db, device, as_json)
    else:
        run_ablation(ablation, db, device, folder, as_json, place)


def _show_plan(ablation: Ablation, db: str, device: str, as_json: bool) -> None:
    """What a dry run found: a row a run, and the sums."""
    from rich.table import Table
    from rich.text import Text

    from workflows.ablation_plan import COUNTED, TRAINING, plan
    from workflows.bars import bars

    with bars() as progress:
        found = plan(ablation, db, device=device, progress=progress)
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Run", overflow="fold")
    table.add_column("Align", no_wrap=True)
    for title in ("Steps", "TFLOP", "Answers", "Calls", "Tokens in", "out", "USD"):
        table.add_column(title, justify="right")
    total = {**found["total"], "run": f"all {found['total']['runs']}", "aligned": f"{found['total']['to align']} to do"}
    for row in [*found["runs"], total]:
        state = {True: "stored", False: "to do"}.get(row["aligned"], row["aligned"])
        counts = [_count(row[name]) for name in (*TRAINING, *COUNTED)]
        unknown = "-" if row["judge_calls"] is None else "unknown"
        money = unknown if row["usd"] is None else f"{row['usd']:.2f}"
        table.add_row(*map(Text, (row["run"], "" if row["run"] in found["bases"] else state)), *counts, money)
    out.print(table)
    for text in found["notes"]:
        note(text, style="dim")


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def run_ablation(
    ablation: Ablation, db: str, device: str, folder: Path, as_json: bool, place: ClusterOptions | None = None
) -> None:
    """Run a recipe and show its report; exit 1 where runs failed, 3 where some samples were not scored."""
    from harness.cluster.connection import ClusterOptions, connected
    from harness.store import Store
    from harness.util.places import make_folder
    from workflows.ablate import ablate
    from workflows.bars import bars
    from workflows.report import leaderboard_view, write_report

    make_folder(folder)  # what stands in its place is said before hours of work
    store = Store(db)
    with bars() as shown, connected(place or ClusterOptions(), device, shown) as cluster:
        outcome = ablate(
            ablation,
            db,
            device=device,
            log=lambda text: line(text, console=shown.console),
            progress=lambda done, total: shown("runs", done, total),
            steps=shown,
            cluster=cluster,
        )
    with err.status("writing the report"):
        view = leaderboard_view(store)
        files = write_report(view, folder)
    short = [shortfall.text for shortfall in outcome.incomplete]
    if as_json:
        print_json({**vars(outcome), "incomplete": short, "db": db, "files": [str(file) for file in files]})
    else:
        _show(view, db, files)
    if outcome.failures:
        raise HarnessError(
            "Some runs failed; the others are stored, and the same command tries these again:\n  "
            + "\n  ".join(outcome.failures)
        )
    if outcome.unpaid:
        note(f"Not begun, because the budget of ${ablation.budget:g} is spent: {', '.join(outcome.unpaid)}.")
    if short:
        note("Not all samples were scored; the same command asks again:\n  " + "\n  ".join(short))
    if outcome.unpaid or short:
        sys.exit(INCOMPLETE)


def _show(view: View, db: str, files: Sequence[Path]) -> None:
    """The tables, where everything lies, and the answer in words."""
    from commands.evaluations import official_notes
    from harness.util.paths import home
    from leaderboards.conclusion import conclusions
    from leaderboards.formats.terminal import Terminal
    from workflows.report import typical_of_scene

    for block in Terminal().rich(view):
        out.print(block)
    for text in official_notes(view.snapshot.current):
        line(text)
    out.print(typical_of_scene(view.snapshot) or "", highlight=False, markup=False)
    line(f"\nResults  {Path(db).resolve()}\nModels   {(home() / 'aligned').resolve()}")
    for file in files:
        line(f"Report   {file.resolve()}")
    line("\n" + "\n".join(conclusions(view.tables)))
