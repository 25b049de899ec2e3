"""A row of preference data as it stands in a file, and what is said of one that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a row stands: ``name`` for messages, ``folder`` for the paths of its images, its number for an id."""

    name: str
    folder: Path
    number: str

    def __str__(self) -> str:
        return self.name


class BadRow(DataError):
    """A row that cannot be trained on.

    Args:
        reason: without what is the row's own, so that rows are counted by it; ``detail`` is that.
        files: whose state it depends on; None where it may be another the next time (a download).
    """

    def __init__(self, place: Place, reason: str, detail: str = "", files: tuple[Path, ...] | None = ()) -> None:
        super().__init__(f"{place}: {reason}{detail}")
        self.reason, self.files = reason, files


class NoPreference(BadRow):
    """A row that prefers nothing by the rules of its own layout (equal ratings): always left out and counted."""


def text_of(value: Any, name: str, place: Place) -> str:
    """``value`` without blanks around it, if it is a text that says something; else BadRow."""
    if value is None:
        raise BadRow(place, f"no {name}.")
    if not isinstance(value, str):
        what = "NaN" if isinstance(value, float) and math.isnan(value) else f"a {type(value).__name__}"
        raise BadRow(place, f"{name}: expected a text, found {what}", f" ({value!r:.80}).")
    if not value.strip():
        raise BadRow(place, f"{name} is empty.")
    return value.strip()
