"""The data-aware half of DAMA alone: beta follows the hardness of each pair (arXiv 2502.01943, equation 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.model_aware import beta_metrics, kept_weight
from aligners.objective import Objective, State, Step, Weights, register
from harness.util.options import added


def data_scale(step: Step) -> Tensor:
    """aD = sigmoid(delta) / sigmoid(delta_mean) of each pair, float64 [N], by a difference of logarithms."""
    assert step.delta is not None, "the objective declares a need of hardness"
    delta = step.delta.detach().to("cpu", torch.float64)
    return (logsigmoid(delta) - logsigmoid(torch.tensor(step.delta_mean, dtype=torch.float64))).exp()


def at_least(delta: Tensor, least: float) -> Tensor:
    """Boolean [N]: the pairs whose hardness is not below ``least``; where none is, the easiest alone, as a step needs a
    pair.
    """
    kept = delta >= least
    return kept if kept.any() else delta == delta.max()


def data_metrics(scale: Tensor) -> dict[str, float]:
    """Mean and standard deviation of aD over the pairs of the step."""
    return {"aD_mean": scale.mean().item(), "aD_std": scale.std(correction=0).item()}


@register
@dataclass(frozen=True, kw_only=True)
class Hardness(Objective):
    """Hardness-only: an easy pair (large delta) is held closer to the reference.

    Args:
        scale: "one" is a control: aD = 1, which is DPO on the pairs that are kept.
        drop_below: pairs whose delta is smaller count for nothing: at 0 those whose rejected response CLIP prefers.
            With ``scale=one`` it is the simple rival of weights. None drops none.
    """

    scale: Literal["live", "one"] = added("live")
    drop_below: float | None = added(None)

    name: ClassVar[str] = "hardness"
    paper: ClassVar[str] = "Lu et al., DAMA (data-aware half), arXiv 2502.01943"
    formula: ClassVar[str] = "-log sigmoid(beta aD h), aD = sigmoid(delta) / sigmoid(delta_mean)"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "hardness"})

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        scale = data_scale(step)
        if self.scale == "one":
            scale = torch.ones_like(scale)
        assert step.delta is not None, "the objective declares a need of hardness"
        delta = step.delta.detach().to("cpu", torch.float64)
        kept = at_least(delta, -torch.inf if self.drop_below is None else self.drop_below)
        beta, metrics = beta_metrics(self.beta * scale)
        return Weights(beta, kept_weight(kept), {**metrics, **data_metrics(scale)}), state
