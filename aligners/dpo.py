"""Direct preference optimisation: one beta for every pair (arXiv 2305.18290, equation 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from aligners.model_aware import beta_metrics
from aligners.objective import Objective, State, Step, Weights, register, uniform


@register
@dataclass(frozen=True, kw_only=True)
class Dpo(Objective):
    """Plain DPO, the baseline: never scales beta, never drops a pair."""

    name: ClassVar[str] = "dpo"
    paper: ClassVar[str] = "Rafailov et al., Direct Preference Optimization, arXiv 2305.18290"
    formula: ClassVar[str] = "-log sigmoid(beta h)"

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        beta, metrics = beta_metrics(torch.full((step.size,), self.beta, dtype=torch.float64))
        return Weights(beta, uniform(step.size), metrics), state
