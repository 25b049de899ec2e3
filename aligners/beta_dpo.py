"""beta-DPO: one beta a batch that follows the reward gaps (arXiv 2407.08639), from which DAMA's model half descends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch

from aligners.model_aware import (
    KEPT,
    MOMENTUM,
    beta_metrics,
    gaps_of,
    keep_sampled,
    kept_count,
    kept_weight,
    moving_average,
)
from aligners.objective import Objective, State, Step, Weights, register

MIN_STD = 1e-6
"""Of equal gaps, or a single pair: (R - R_bar) / s must stay finite. Nor is s below the step's tolerance: where gaps
are equal but for rounding, as before the first step, rounding must not decide what is kept."""


@register
@dataclass(frozen=True, kw_only=True)
class BetaDpo(Objective):
    """Batch-level beta and a sampled filter around a running mean and standard deviation of the gaps.

    Args:
        keep: share of the pairs of a step that count, rounded down: 0.8 keeps 12 of 16 and 6 of 8; at least 1.
        momentum: of the running mean and standard deviation, which start at 0 and are updated before the loss.
        sensitivity: how far beta follows the mean gap of the kept (0.6 in the paper).
    """

    keep: Annotated[float, KEPT] = 0.8
    momentum: Annotated[float, MOMENTUM] = 0.9
    sensitivity: float = 0.6

    name: ClassVar[str] = "beta-dpo"
    paper: ClassVar[str] = "Wu et al., beta-DPO, arXiv 2407.08639"
    formula: ClassVar[str] = "-log sigmoid(beta (1 + 0.6 (mean h of the kept - R_bar)) h) over the kept"

    @property
    def needs_reward_gaps(self) -> bool:
        return True

    def initial_state(self) -> State:
        return {"r_bar": 0.0, "r_std": 0.0}

    def kept_pairs(self, size: int) -> int:
        return kept_count(self.keep, size)

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        gap = gaps_of(step)
        spread = gap.std().item() if len(gap) > 1 else 0.0
        r_bar = moving_average(state["r_bar"], gap.mean().item(), self.momentum)
        r_std = moving_average(state["r_std"], spread, self.momentum)
        log_weight = -0.5 * ((gap - r_bar) / max(r_std, MIN_STD, step.tolerance)) ** 2
        kept = keep_sampled(log_weight, self.kept_pairs(step.size), step.rng)
        factor = 1 + self.sensitivity * (gap[kept].mean().item() - r_bar)
        beta, metrics = beta_metrics(torch.full((step.size,), self.beta * factor, dtype=torch.float64))
        metrics |= {"r_bar": r_bar, "r_std": r_std, "filtered": 1 - kept.double().mean().item()}
        return Weights(beta, kept_weight(kept), metrics), {"r_bar": r_bar, "r_std": r_std}
