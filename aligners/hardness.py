"""The data-aware half of DAMA alone: beta follows the hardness of each pair (arXiv 2502.01943, equation 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.model_aware import beta_metrics
from aligners.objective import Objective, State, Step, Weights, register, uniform


def data_scale(step: Step) -> Tensor:
    """aD = sigmoid(delta) / sigmoid(delta_mean) of each pair, float64 [N], by a difference of logarithms."""
    assert step.delta is not None, "the objective declares a need of hardness"
    delta = step.delta.detach().to("cpu", torch.float64)
    return (logsigmoid(delta) - logsigmoid(torch.tensor(step.delta_mean, dtype=torch.float64))).exp()


def data_metrics(scale: Tensor) -> dict[str, float]:
    """Mean and standard deviation of aD over the pairs of the step."""
    return {"aD_mean": scale.mean().item(), "aD_std": scale.std(correction=0).item()}


@register
@dataclass(frozen=True, kw_only=True)
class Hardness(Objective):
    """Hardness-only: an easy pair (large delta) is held closer to the reference; no pair is dropped."""

    name: ClassVar[str] = "hardness"
    paper: ClassVar[str] = "Lu et al., DAMA (data-aware half), arXiv 2502.01943"
    formula: ClassVar[str] = "-log sigmoid(beta aD h), aD = sigmoid(delta) / sigmoid(delta_mean)"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "hardness"})

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        scale = data_scale(step)
        beta, metrics = beta_metrics(self.beta * scale)
        return Weights(beta, uniform(step.size), {**metrics, **data_metrics(scale)}), state
