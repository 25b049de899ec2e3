"""`leaderboard`: all runs of the store in tables, files and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from commands import options
from commands.screen import err, line, note, out, print_text, print_written


class FormatName(click.Choice[str]):
    """The name of a registered format, looked up when it is needed: not for `--help`.

    A plug-in that cannot be used is refused with what is wrong with it.
    """

    def __init__(self) -> None:
        super().__init__(())

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from leaderboards.formats.registry import format_names

        return [CompletionItem(name) for name in format_names() if name.startswith(incomplete)]

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from leaderboards.formats.registry import FORMATS

        FORMATS.get(value)
        return value


@click.command("leaderboard")
@options.db
@click.option(
    "--format",
    "kind",
    type=FormatName(),
    metavar="FORMAT",
    help="How it is written: see `list formats`. [default: by the ending of --out's file, of a directory html; table "
    "without an ending]",
)
@click.option(
    "--out",
    "file",
    type=click.Path(),
    help="File to write; for html also a directory, by a slash at its end if it is not there (large stores: the "
    "answers go into files beside the page). [default: stdout; html: leaderboard.html]",
)
@click.option("--suite", help="Only the benchmarks of a suite.")
@click.option("--run", "runs", multiple=True, help="Only this run or method, beside base; may be repeated.")
@click.option("--benchmark", "benchmarks", multiple=True, help="Only this benchmark; may be repeated.")
@click.option("--judge", "judges", multiple=True, help="Only figures of this judge; may be repeated.")
@click.option("--complete", is_flag=True, help="Only evaluations of which every sample was scored.")
@click.option("--against", help="Compare all others with this row or run, instead of with DPO and base.")
@click.option(
    "--differences",
    is_flag=True,
    help="In the terminal and LaTeX also each difference to DPO and base with its interval and Holm-adjusted p-value "
    "(the other formats always have them).",
)
@click.option(
    "--published",
    flag_value="equal",
    help="Show the papers' figures too, in a block of their own: of benchmarks whose evaluator is an equal one.",
)
@click.option("--published-all", "published", flag_value="all", help="All of them, said not to be comparable.")
@click.option("--plots", "--figures", type=options.FOLDER, help="Figures as SVG and PNG.")
def command(
    db: str, kind: str | None, file: str | None, plots: Path | None, runs: tuple[str, ...],
    benchmarks: tuple[str, ...], judges: tuple[str, ...], **shown: Any,
) -> None:  # fmt: skip
    """Compare all runs of the store: figures, intervals, and the paired differences to DPO and base."""
    import dama
    from leaderboards.conclusion import conclusions
    from leaderboards.formats.registry import FORMATS, format_of
    from workflows.report import draw, warnings

    board = dama.leaderboard(run=runs, benchmark=benchmarks, judge=judges, **shown, width=out.width, db=db)
    view = board.view
    form = FORMATS.get(kind or (format_of(file) if file else "table"))()
    for warning in warnings(view, says_empty=form.says_empty):
        note(warning, style="yellow")
    if plots:
        with err.status("drawing"):
            drawn = draw(view, plots)
        print_written(drawn, "nothing to plot yet: `align` and `bench` first, or `demo`.")
    if place := file or form.default_out:
        with err.status(f"reading every answer for {place}"):
            written = form.write(view, Path(place))
        print_written(written)
    elif blocks := form.rich(view):
        for block in blocks:
            out.print(block)
        for text in conclusions(view.tables):
            line(text)
    else:
        print_text(form.text(view))
