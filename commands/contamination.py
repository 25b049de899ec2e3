"""`contamination`: which images of benchmarks are among those of preference pairs."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import note, out, print_json


@click.command("contamination")
@click.argument("pairs")
@options.assignments
@options.where
@options.db
@options.as_json
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    help="Only this benchmark; may be repeated.  [default: all that have a folder in --data-dir]",
)
@click.option(
    "--data-dir", type=options.FOLDER, help="The benchmark's folder, or its parent.  [default: the embedded world]"
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first N pairs.")
def command(
    pairs: str, assignments: tuple[str, ...], where: tuple[str, ...], db: str, as_json: bool,
    benchmarks: tuple[str, ...], data_dir: Path | None, limit: int | None,
) -> None:  # fmt: skip
    """Which images of benchmarks the preference pairs in PAIRS show (as `align --data` takes them).

    An image is the same by the number in COCO's file names, by its bytes, or if it looks alike (docs/data.md says how
    nearly, and what is not seen). The runs of the results file that were trained on these pairs are marked: every table
    says how many of the benchmark's images they were trained on. --json lists each image.

    \b
    python cli.py contamination pairs.jsonl --data-dir benchmarks-data --benchmark pope --benchmark mmhal
    """
    import dama
    from harness.util.options import parse_assignments

    settings = {**parse_assignments(assignments), **({"where": where} if where else {})}
    found = dama.contamination(
        pairs, benchmark=benchmarks, data_dir=data_dir, settings=settings, limit=limit, db=db
    )  # fmt: skip
    print_json(found.records) if as_json else out.print(found)
    for each in found:
        if each.absent:
            note(f"{each.benchmark}: {each.absent} of {each.pictures} images are not there: known by name alone.")
