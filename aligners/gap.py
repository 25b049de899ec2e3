"""The model-aware half of DAMA alone: one beta a step that follows the reward gaps (arXiv 2502.01943, Algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from aligners.model_aware import ModelAware
from aligners.objective import State, Step, Weights, register


@register
@dataclass(frozen=True, kw_only=True)
class Gap(ModelAware):
    """Gap-only: beta scaled by aM, outlying gaps left out of the loss."""

    name: ClassVar[str] = "gap"
    paper: ClassVar[str] = "Lu et al., DAMA (model-aware half), arXiv 2502.01943"
    formula: ClassVar[str] = "-log sigmoid(beta aM h) over the kept, aM = sigmoid(mean h of the kept) / sigmoid(R_bar)"

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        half = self.model_half(step, state)
        beta = torch.full((step.size,), self.beta * half.scale, dtype=torch.float64)
        return self.weights(step, beta, half), {"r_bar": half.next_r_bar}
