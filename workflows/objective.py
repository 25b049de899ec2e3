"""`objective`: one step of an aligner on numbers from a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.util.files import read_object
from harness.util.options import build, parse_assignments


def probe_file(method: str, assignments: Iterable[str], file: Path) -> dict[str, Any]:
    """Betas, losses, kept pairs and next state for the log-probabilities in ``file`` (DESIGN: contract)."""
    from aligners.objective import ALIGNERS
    from aligners.objective_step import objective_step

    kind = ALIGNERS.get(method)
    objective = build(kind, parse_assignments(assignments), f"aligner {method}")
    payload = read_object(file, "a JSON object of one step's numbers")
    try:
        return objective_step(objective, payload)
    except UsageError as error:
        raise DataError(f"--input {file}: {error}") from error
