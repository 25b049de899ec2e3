"""`fetch`: the data of benchmarks from their official homes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from commands import options
from commands.screen import INCOMPLETE, line, out, print_json
from harness.errors import HarnessError

COLOURS = {"there": "green", "fetched": "green", "other": "yellow", "by hand": "yellow", "failed": "red"}


@click.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="BENCHMARK_OR_SUITE...")
@options.as_json
@click.option("--data-dir", type=options.FOLDER, help="Parent folder.  [default: cache]")
@click.option("--any-version", is_flag=True, help="Also keep files that are not the official version.")
def command(names: tuple[str, ...], as_json: bool, data_dir: Path | None, any_version: bool) -> None:
    """Download the data of benchmarks, or of a suite, from their official homes; resume where it stopped.

    `nlp` is what taggers need (NLTK's data). Files already there are checked, not
    downloaded. What must be fetched by hand is named, with its home. Files of the
    hub come from HF_ENDPOINT where that is set; proxies are taken from the environment.

    \b
    python cli.py fetch hallucination nlp
    python cli.py fetch pope llava_bench --data-dir benchmarks-data
    """
    from workflows.bars import bars
    from workflows.fetch import NLP, fetch_benchmark, fetch_nlp, named, row

    results: list[dict[str, Any]] = []
    states: set[str] = set()
    for name in named(names):
        with bars() as shown:
            if name == NLP:
                folder, files = fetch_nlp(progress=shown)
            else:
                folder, files = fetch_benchmark(name, data_dir, any_version=any_version, progress=shown)
        of_benchmark = {str(item.state) for item in files}
        states |= of_benchmark
        results.append({"benchmark": name, "folder": str(folder), "files": [row(item) for item in files]})
        if not as_json:
            _print(name, folder, results[-1]["files"], of_benchmark)
    if as_json:
        print_json(results[0] if len(results) == 1 else results)
    if "failed" in states:
        sys.exit(HarnessError.exit_code)
    if "by hand" in states:
        sys.exit(INCOMPLETE)


def _print(name: str, folder: Path, files: Sequence[Mapping[str, Any]], states: set[str]) -> None:
    """The files of a benchmark, and how it is run once they are there."""
    from rich.text import Text

    from workflows.fetch import NLP

    for item in files:
        state = (f"{item['state']:8}", COLOURS[item["state"]])
        out.print(Text.assemble(state, " ", (str(item["file"]), "bold"), "  "), end="")
        line(item["detail"])
    run = f"python cli.py bench --benchmark {name} --data-dir {folder.parent}"
    if name == NLP:
        line("\n`python cli.py doctor` shows which taggers are used now.\n")
    elif "failed" in states:
        line(f"\n{name} is not complete. Run the same command again to resume.\n")
    elif "by hand" in states:
        line(f"\nOnce the files to be fetched by hand are there: {run}\n")
    else:
        line(f"\nUse it: {run}\n")
