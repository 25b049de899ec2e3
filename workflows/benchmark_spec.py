"""A benchmark to run, with its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BenchmarkSpec:
    """A benchmark to run: its settings, and how many of its samples (None: all).

    ``bracket``: add points of its coverage curve until it can be read at the base's coverage.
    """

    name: str
    settings: Mapping[str, Any]
    limit: int | None = None
    bracket: bool = False
