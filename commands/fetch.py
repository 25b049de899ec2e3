"""`fetch`: a benchmark's data from its official home."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from commands import options
from commands.screen import INCOMPLETE, line, out, print_json
from harness.errors import HarnessError

COLOURS = {"there": "green", "fetched": "green", "other": "yellow", "by hand": "yellow", "failed": "red"}


@click.command("fetch")
@click.argument("benchmark")
@options.as_json
@click.option("--data-dir", type=options.FOLDER, help="Parent folder.  [default: cache]")
@click.option("--any-version", is_flag=True, help="Also keep files that are not the official version.")
def command(benchmark: str, as_json: bool, data_dir: Path | None, any_version: bool) -> None:
    """Download BENCHMARK's data from its official home; resume where an earlier download stopped.

    Files already there are checked, not downloaded. What must be fetched by hand is named, with its home.
    """
    from rich.text import Text

    from workflows.bars import bars
    from workflows.fetch import fetch_benchmark, row

    with bars() as shown:
        folder, files = fetch_benchmark(benchmark, data_dir, any_version=any_version, progress=shown)
    if as_json:
        print_json({"folder": str(folder), "files": [row(item) for item in files]})
    else:
        for item in files:
            state = (f"{item.state:8}", COLOURS[item.state])
            out.print(Text.assemble(state, " ", (str(item.path), "bold"), "  "), end="")
            line(item.detail)
        line(f"\nUse it: python cli.py bench --benchmark {benchmark} --data-dir {folder.parent}")
    states = {item.state for item in files}
    if "failed" in states:
        sys.exit(HarnessError.exit_code)
    if "by hand" in states:
        sys.exit(INCOMPLETE)
