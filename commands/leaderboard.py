"""`leaderboard`: all runs of the store in tables, files and figures."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import note, out, print_written, write_text


@click.command("leaderboard")
@options.db
@click.option(
    "--format",
    "kind",
    type=click.Choice(["table", "markdown", "html", "latex", "csv", "json"]),
    default="table",
    show_default=True,
    help="How it is written.",
)
@click.option(
    "--out",
    "file",
    type=click.Path(path_type=Path),
    help="File to write; for html also a directory (large stores: the answers go into files beside the page). "
    "[default: stdout; html: leaderboard.html]",
)
@click.option("--suite", help="Only the benchmarks of a suite.")
@click.option(
    "--differences",
    is_flag=True,
    help="In the terminal and LaTeX also each difference to DPO and base with its interval and Holm-adjusted p-value "
    "(the other formats always have them).",
)
@click.option("--published", is_flag=True, help="Show the papers' figures too, in a block of their own.")
@click.option("--plots", "--figures", type=options.FOLDER, help="Figures as SVG and PNG.")
def command(
    db: str, kind: str, file: Path | None, suite: str | None, differences: bool, published: bool, plots: Path | None
) -> None:
    """Compare all runs of the store: figures, intervals, and the paired differences to DPO and base."""
    from harness.store import Store
    from workflows.report import draw, load, render, tables, warnings, write_page
    from workflows.suites import members_of

    if suite:
        members_of(suite, ())  # a wrong name is reported before the tables are made
    store = Store.existing(db)
    for warning in warnings(store, suite, said=kind in ("table", "markdown", "latex")):
        note(warning, style="yellow")
    loaded = None if kind in ("csv", "json") and not plots else load(store, suite)
    if plots:
        print_written(draw(store, plots, loaded), "nothing to plot yet: `align` and `bench` first, or `demo`.")
    if kind == "html":
        page = file or Path("leaderboard.html")
        print_written(write_page(store, page, suite=suite, published=published, loaded=loaded))
    elif kind == "table" and file is None:
        for table in tables(store, loaded or [], suite=suite, published=published, differences=differences):
            out.print(table)
    else:
        text = render(
            store, kind, suite=suite, published=published, differences=differences, loaded=loaded, width=out.width
        )
        if file:
            write_text(file, text)
        else:
            click.echo(text, nl=False)
