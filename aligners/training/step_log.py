"""What the micro-batches of a step leave on their device until the step ends.

A number that is read makes the host wait for all that was launched before it, and the device idle until more is: one
step reads its numbers together, before the optimiser moves anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from aligners.pairs.encoding import Encoded
from aligners.training.checks import require_finite


class StepLog:
    """Losses, reward gaps and betas of one step on this rank."""

    def __init__(self) -> None:
        self._pairs: list[Encoded] = []
        self._losses: list[Tensor] = []
        self._totals: list[Tensor] = []
        self._gaps: list[tuple[Tensor, Tensor]] = []
        self._rows: list[int] = []

    def note_losses(self, pairs: Sequence[Encoded], losses: Tensor, total: Tensor) -> None:
        """The losses [n] of ``pairs`` and their weighted sum."""
        self._pairs += pairs
        self._losses.append(losses.detach())
        self._totals.append(total.detach())

    def note_gaps(self, gaps: Tensor, noise: Tensor, rows: Sequence[int]) -> None:
        """Reward gaps and what rounding may change them by, float64 [n], of the pairs in ``rows`` of the step."""
        self._gaps.append((gaps, noise))
        self._rows += rows

    def require_finite(self, *, step: int, folder: str | None) -> None:
        """Raises HarnessError naming the pairs whose loss is not finite."""
        if self._losses:
            require_finite(torch.cat(self._losses), self._pairs, "loss", step=step, folder=folder)
        self._losses, self._pairs = [], []

    @property
    def loss(self) -> float:
        """The sum of what was noted."""
        return sum(torch.stack(self._totals).tolist()) if self._totals else 0.0

    def rewards(self, beta: Tensor) -> list[tuple[float, float, float]]:
        """(gap, noise, beta) of every pair, where ``beta`` is the step's table."""
        columns = (torch.cat(values).tolist() for values in zip(*self._gaps, strict=True))
        return list(zip(*columns, beta[self._rows].tolist(), strict=True))


class BeforeTheOptimiser(TrainerCallback):  # type: ignore[misc]
    """Calls ``check`` when all gradients of a step are there and nothing has moved yet."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Trainer's event."""
        self._check()
