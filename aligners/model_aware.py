"""The model-aware half of DAMA: which pairs of a step count, the beta scale aM, and the running mean of the gaps.

Source: DAMA (arXiv 2502.01943), Algorithm 1, equations 12 (aM) and 14 (R_bar). ``variant="paper"`` and
``variant="code"`` follow the text and the released code where these differ; the K of the filter is our reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Objective, State, Step, Weights, clamp_beta
from harness.util.ranges import Range

Variant = Literal["paper", "code"]

KEPT = Range(0, 1, "share of the pairs of a step", open_low=True)
MOMENTUM = Range(0, 1, open_high=True)
MAX_LOG_SCALE = 600.0  # exp(600) times beta times any gap is still a float64; beyond it lies infinity


def kept_count(keep: float, size: int) -> int:
    """K = floor(keep * size), at least 1; 0.29 * 100 counts as 29 although it is 28.999... in binary."""
    return max(1, min(size, math.floor(keep * size + 1e-9)))


REACH = 4.0
"""Tolerances from the last gap that is kept within which others can be its equals: a bound where gaps lie densely."""


def keep_closest(gap: Tensor, centre: float, count: int, tolerance: float = 0.0) -> Tensor:
    """Boolean [N]: the ``count`` gaps with the smallest (R - centre)^2, of equals the first (paper).

    Equal to the last that is kept are all distances that lead to it in steps of at most ``tolerance`` (at 0: those that
    are exactly equal), so that no edge of a grid parts two that rounding alone makes different. A kept gap is farther
    than a dropped one by at most 2 x REACH tolerances.
    """
    distance = (gap - centre).abs()
    order = distance.argsort(stable=True)
    near = distance[order].tolist()
    first, after = count - 1, count
    edge, reach = near[first], REACH * tolerance
    while first and near[first] - near[first - 1] <= tolerance and edge - near[first - 1] <= reach:
        first -= 1
    while after < len(near) and near[after] - near[after - 1] <= tolerance and near[after] - edge <= reach:
        after += 1
    equal = order[first:after].sort().values
    return mask_of(torch.cat([order[:first], equal[: count - first]]), len(gap))


def keep_sampled(log_weight: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Boolean [N]: ``count`` pairs drawn without replacement, with probabilities proportional to exp(log_weight).

    Gumbel top-k: the weights themselves are never formed, so none can underflow to 0.
    """
    gumbel = -torch.empty(len(log_weight), dtype=torch.float64).exponential_(generator=rng).log()
    return mask_of((log_weight + gumbel).topk(count).indices, len(log_weight))


def mask_of(index: Tensor, size: int) -> Tensor:
    """Boolean [size], true at ``index``."""
    mask = torch.zeros(size, dtype=torch.bool)
    mask[index] = True
    return mask


def model_scale(gap: Tensor, r_bar: float, variant: Variant) -> float:
    """aM of the kept gaps, shape [K], in log space (equation 12).

    ``paper``: sigmoid(mean R) / sigmoid(R_bar). ``code``: mean of sigmoid(R) / sigmoid(R_bar). Capped at exp(600), so
    that beta stays a finite float64 even where R_bar is thousands of nats below the gaps.
    """
    centre = logsigmoid(torch.tensor(r_bar, dtype=torch.float64))
    level = logsigmoid(gap.mean()) if variant == "paper" else logsigmoid(gap).logsumexp(0) - math.log(len(gap))
    return math.exp(min(float(level - centre), MAX_LOG_SCALE))


def moving_average(old: float, new: float, momentum: float) -> float:
    """momentum * old + (1 - momentum) * new (equation 14)."""
    return momentum * old + (1 - momentum) * new


def kept_weight(kept: Tensor, rank: Tensor | None = None) -> Tensor:
    """Weight of each pair in the loss, float64 [N]: the mean over the kept, or with ``rank`` the mean of rank means.

    A rank whose pairs are all dropped has a loss of 0 (the released code divides by at least 1) and still counts as a
    rank, so that the weights then sum to less than 1.
    """
    if rank is None:
        return kept.double() / kept.sum().clamp(min=1)
    _, rank_index = torch.unique(rank.cpu(), return_inverse=True)
    per_rank = torch.zeros(int(rank_index.max()) + 1, dtype=torch.float64).index_add_(0, rank_index, kept.double())
    return kept.double() / (per_rank.clamp(min=1)[rank_index] * len(per_rank))


def beta_metrics(beta: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Clamped beta, with its mean, its standard deviation over the pairs and the clamped share."""
    beta, metrics = clamp_beta(beta)
    return beta, {"beta_mean": beta.mean().item(), "beta_std": beta.std(correction=0).item(), **metrics}


@dataclass(frozen=True)
class ModelHalf:
    """What the gaps of a step decide: the pairs kept (boolean [N]), aM, and the next R_bar."""

    kept: Tensor
    scale: float
    next_r_bar: float


@dataclass(frozen=True, kw_only=True)
class ModelAware(Objective):
    """Base of the objectives that filter pairs and scale beta by the state of the model.

    Args:
        keep: share of the pairs of a step that count, rounded down: 0.8 keeps 12 of 16 and 6 of 8; at least 1.
        momentum: of the moving average R_bar, which starts at 0.
        variant: the paper's text or the released code.
        scale: "one" is a control: the filter alone, aM = 1.
        filter: "random" drops as many pairs at random, "none" drops no pair: controls.
    """

    keep: Annotated[float, KEPT] = 0.8
    momentum: Annotated[float, MOMENTUM] = 0.9
    variant: Variant = "paper"
    scale: Literal["live", "one"] = "live"
    filter: Literal["gap", "random", "none"] = "gap"

    @property
    def needs_reward_gaps(self) -> bool:
        return True

    def initial_state(self) -> State:
        return {"r_bar": 0.0}

    def model_half(self, step: Step, state: State) -> ModelHalf:
        """Filter, aM and the next R_bar, from the gaps of the whole step and the R_bar before it."""
        gap, r_bar = gaps_of(step), state["r_bar"]
        kept = self._kept(gap, r_bar, step)
        scale = 1.0 if self.scale == "one" else model_scale(gap[kept], r_bar, self.variant)
        mean = gap[kept].mean() if self.variant == "paper" else gap.mean()
        return ModelHalf(kept, scale, moving_average(r_bar, float(mean), self.momentum))

    def kept_pairs(self, size: int) -> int:
        return size if self.filter == "none" else kept_count(self.keep, size)

    def _kept(self, gap: Tensor, r_bar: float, step: Step) -> Tensor:
        count = self.kept_pairs(len(gap))
        if self.filter == "none":
            return torch.ones(len(gap), dtype=torch.bool)
        if self.filter == "random":
            return mask_of(torch.randperm(len(gap), generator=step.rng)[:count], len(gap))
        if self.variant == "paper":
            return keep_closest(gap, r_bar, count, step.tolerance)
        return keep_sampled(-0.5 * (gap - r_bar) ** 2, count, step.rng)

    def weights(self, step: Step, raw_beta: Tensor, half: ModelHalf) -> Weights:
        """Weights of a step whose dropped pairs count for nothing; ``code`` averages rank by rank."""
        beta, metrics = beta_metrics(raw_beta)
        metrics |= {"aM": half.scale, "r_bar": half.next_r_bar, "filtered": 1 - half.kept.double().mean().item()}
        return Weights(beta, kept_weight(half.kept, step.rank if self.variant == "code" else None), metrics)


def gaps_of(step: Step) -> Tensor:
    """The reward gaps of the step, float64 [N], on the CPU where the generator lives."""
    assert step.gap is not None, "the objective declares needs_reward_gaps"
    return step.gap.detach().to("cpu", torch.float64)
