"""An aligner: a hinge on the reward gap instead of DPO's logistic loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from aligners.objective import Batch, Objective


@dataclass(frozen=True, kw_only=True)
class Hinge(Objective):
    """SLiC-like hinge on the reward gap h.

    Args:
        margin: the gap, times beta, above which a pair has no loss.
    """

    margin: float = 1.0

    name: ClassVar[str] = "hinge"
    paper: ClassVar[str] = "Zhao et al., SLiC-HF, arXiv 2305.10425"
    formula: ClassVar[str] = "max(0, margin - beta h)"

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return (self.margin - beta * self.gaps(batch)).clamp(min=0)
