"""What training reports, and to whom: the store implements it, tests use a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Recorder(Protocol):
    """Receives what happens during an alignment run, as it happens."""

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Metrics of optimiser step ``step`` (1 first). Recording a step again replaces it (a resumed run)."""
        ...

    def log_gaps(self, step: int, split: str, gaps: Sequence[tuple[str, float]]) -> None:
        """Reward gaps h (nats) of probe pairs, as (pair id, gap), after ``step`` steps; ``split``: train or heldout."""
        ...

    def log_hardness(self, split: str, deltas: Mapping[str, float]) -> None:
        """Hardness delta of every pair of ``split`` (train or heldout), by pair id."""
        ...

    def log_info(self, values: Mapping[str, Any]) -> None:
        """Facts of the run found on the way (hardness record, cache keys, route, times); merged into its record."""
        ...
