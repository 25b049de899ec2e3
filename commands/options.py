"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.util.log import Verbosity, set_verbosity


class Recipe(click.Path):
    """A YAML file, or the name of one that comes with the harness."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from recipes import find_recipe

        return find_recipe(str(value))


class Bias(click.ParamType):  # type: ignore[type-arg]  # generic for the type checker alone
    """A number, or the word auto."""

    name = "bias"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        try:
            return "auto" if value == "auto" else float(str(value))
        except ValueError:
            self.fail(f"{value!r}: expected a number or auto.", param, ctx)


def _show(value: Verbosity) -> Callable[[click.Context, click.Parameter, bool], None]:
    return lambda context, option, given: set_verbosity(value) if given else None


VERBOSITY: tuple[click.Option, ...] = (
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_show(Verbosity.QUIET),
        help="Only results and errors.",
    ),
    click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_show(Verbosity.VERBOSE),
        help="The log on stderr too.",
    ),
)
"""Options of every command."""

RECIPE = Recipe(dir_okay=False)
FOLDER = click.Path(file_okay=False, path_type=Path)

db = click.option(
    "--db", default="results.sqlite", show_default=True, type=click.Path(dir_okay=False), help="Results file."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else.")
assignments = click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting.")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
where = click.option(
    "--where",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only rows of the pairs of which this holds (or !=, or ONE,OTHER); may be repeated.",
)
resume = click.option("--resume/--fresh", default=True, show_default=True, help="Resume, or start over.")
probe = click.option(
    "--probe/--no-probe",
    default=True,
    show_default=True,
    help="Look first whether the model is asked as it is trained and sees its images.",
)
dry_run = click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
limit = click.option("--limit", type=click.IntRange(min=1), help="Only the first N.")
drawn = click.option(
    "--limit", type=click.IntRange(min=1), help="Only N samples of each benchmark, drawn from all its parts."
)
judge = click.option(
    "--judge",
    help="openai:NAME[@BASE_URL], hf:ID_OR_DIR, replay:FILE.jsonl, rule (embedded world), or a plug-in's: see `list "
    "judges`.",
)
budget = click.option("--budget", type=click.FloatRange(min=0), metavar="USD", help="Limit of the judge's cost.")
prices = click.option("--prices", type=click.Path(exists=True, dir_okay=False), help="YAML of your prices.")


def cluster(command: Callable[..., Any]) -> Callable[..., Any]:
    """--cluster, --workers and --gpus-per-worker."""
    for option in reversed(CLUSTER):
        command = option(command)
    return command


CLUSTER = (
    click.option("--cluster", metavar="ADDRESS", help="Work on a Ray cluster: local, auto, [ray://]HOST:PORT."),
    click.option("--workers", type=click.IntRange(min=1), help="Of the cluster.  [default: all there is room for]"),
    click.option("--gpus-per-worker", type=float, help="A share of a GPU, or several.  [default: 1 where GPUs are]"),
)
recipe_folder = click.option("--out", "folder", default=".", type=FOLDER, help="Where the leaderboard goes.")
