"""Identity preference optimisation on mean log-probabilities (arXiv 2310.12036, equation 17)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aligners.objective import Batch, Objective, register


@register
@dataclass(frozen=True, kw_only=True)
class Ipo(Objective):
    """A squared loss with a target gap of 1 / (2 beta), on log-probabilities per response token."""

    name: ClassVar[str] = "ipo"
    paper: ClassVar[str] = "Azar et al., A General Theoretical Paradigm (IPO), arXiv 2310.12036"
    formula: ClassVar[str] = "(h - 1 / (2 beta))^2, h on mean log-probabilities"

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        assert batch.chosen_length is not None and batch.rejected_length is not None, "the trainer gives lengths"
        gap = batch.chosen_ratio / batch.chosen_length - batch.rejected_ratio / batch.rejected_length
        return (gap - 1 / (2 * beta)) ** 2
