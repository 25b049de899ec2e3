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
    """Probe an objective: betas, losses, the kept pairs and the next state for given log-probabilities (float64).

    \b
    The JSON object of --input holds lists of one number a pair, in nats:
      policy_chosen, policy_rejected   always
      ref_chosen, ref_rejected         for aligners that need a reference
      delta (and the number delta_mean)  hardness, for aligners that need it
      chosen_length, rejected_length   tokens, for means; absent: log-probabilities are means already
      corrupted_chosen, ref_corrupted_chosen, and the data columns that an aligner asks for
    and, optional, state (null: the initial one), seed (0), progress (0, share of the steps done).
    """
    from workflows.objective import probe_file

    print_json(probe_file(method, assignments, file))
