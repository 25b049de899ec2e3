"""`objective`: one step of an aligner on numbers from a file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.util.options import build, parse_assignments


def probe_file(method: str, assignments: Iterable[str], file: Path) -> dict[str, Any]:
    """Betas, losses, kept pairs and next state for the log-probabilities in ``file`` (DESIGN: contract)."""
    from aligners.objective import ALIGNERS
    from aligners.objective_step import objective_step

    kind = ALIGNERS.get(method)
    objective = build(kind, parse_assignments(assignments), f"aligner {method}")
    try:
        payload = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"--input {file}: cannot be read as JSON: {error}") from error
    if not isinstance(payload, dict):
        raise DataError(f"--input {file}: expected a JSON object, found {type(payload).__name__}.")
    return objective_step(objective, payload)
