"""DAMA: data- and model-aware direct preference optimisation (arXiv 2502.01943, ICML 2025, equations 15-16)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from aligners.hardness import data_metrics, data_scale
from aligners.model_aware import ModelAware
from aligners.objective import State, Step, Weights, register


@register
@dataclass(frozen=True, kw_only=True)
class Dama(ModelAware):
    """Both halves: beta scaled by the hardness of each pair and by the state of the model.

    Args:
        combine: how aD and aM become one factor. ``data-then-model`` uses aD alone, on all pairs, in the first half of
            the steps, then aM alone with its filter. R_bar follows the gaps from the first step on (our reading), so
            that the second half starts with a warm average.
    """

    combine: Literal["product", "mean", "max", "min", "data-then-model"] = "product"

    name: ClassVar[str] = "dama"
    paper: ClassVar[str] = "Lu et al., DAMA, arXiv 2502.01943 (ICML 2025)"
    formula: ClassVar[str] = "-log sigmoid(beta combine(aD, aM) h) over the kept"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "hardness"})

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        half, a_d = self.model_half(step, state), data_scale(step)
        a_m = torch.full_like(a_d, half.scale)
        if self.combine == "data-then-model" and step.progress < 0.5:
            half = replace(half, kept=torch.ones_like(half.kept))
        weights = self.weights(step, self.beta * self._combined(a_d, a_m, step.progress), half)
        metrics = {**weights.metrics, **data_metrics(a_d)}
        return replace(weights, metrics=metrics), {"r_bar": half.next_r_bar}

    def _combined(self, a_d: Tensor, a_m: Tensor, progress: float) -> Tensor:
        if self.combine == "product":
            return a_d * a_m
        if self.combine == "mean":
            return (a_d + a_m) / 2
        if self.combine == "max":
            return a_d.maximum(a_m)
        if self.combine == "min":
            return a_d.minimum(a_m)
        return a_d if progress < 0.5 else a_m
