"""`objective`: one step of an aligner on numbers from a file."""

from __future__ import annotations

from pathlib import Path

import click

from commands import options
from commands.screen import print_json


@click.command("objective")
@options.assignments
@options.as_json
@click.option("--method", required=True, help="Aligner: see `list aligners`.")
@click.option("--input", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="JSON file.")
def command(assignments: tuple[str, ...], as_json: bool, method: str, file: Path) -> None:
    """Probe an objective: betas, losses, the kept pairs and the next state for given log-probabilities (float64)."""
    from workflows.objective import probe_file

    print_json(probe_file(method, assignments, file))
