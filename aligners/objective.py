"""The interface of an aligner: how much every pair of a step counts, with which beta, and the loss of a pair.

One optimiser step has two halves. ``compute_weights`` sees the whole global batch as plain numbers (no graph, no
ranks, no micro-batches) and gives every pair its beta and its weight; ``losses`` is the differentiable half and is
called on whatever micro-batch a rank holds. The trainer gathers and slices, so that 1x16, 4x4 and 4 accumulation steps
of 4 give the same step by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from harness.registry import Registry
from harness.util.ranges import above, require_ranges
from harness.util.shape import extends

MIN_BETA = 1e-3
State = Mapping[str, float]


@dataclass(frozen=True)
class Batch:
    """Summed response log-probabilities of n pairs, in nats, each of shape [n]; lengths in tokens.

    ``columns`` holds per-pair data columns an objective asks for by name, ``corrupted_chosen`` and
    ``ref_corrupted_chosen`` the chosen response given the corrupted image (objectives that need "corrupted:KIND").
    Reference fields are None for objectives that do not need a reference.
    """

    policy_chosen: Tensor
    policy_rejected: Tensor
    ref_chosen: Tensor | None = None
    ref_rejected: Tensor | None = None
    chosen_length: Tensor | None = None
    rejected_length: Tensor | None = None
    corrupted_chosen: Tensor | None = None
    ref_corrupted_chosen: Tensor | None = None
    columns: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def chosen_ratio(self) -> Tensor:
        """log pi(y_w) - log pi_ref(y_w), shape [n]."""
        assert self.ref_chosen is not None, "this objective declares no need of a reference"
        return self.policy_chosen - self.ref_chosen

    @property
    def rejected_ratio(self) -> Tensor:
        """log pi(y_l) - log pi_ref(y_l), shape [n]."""
        assert self.ref_rejected is not None, "this objective declares no need of a reference"
        return self.policy_rejected - self.ref_rejected

    @property
    def mean_gap(self) -> Tensor:
        """The chosen less the rejected response's log-probability a token, without a reference, shape [n]."""
        assert self.chosen_length is not None and self.rejected_length is not None, "the trainer gives lengths"
        return self.policy_chosen / self.chosen_length - self.policy_rejected / self.rejected_length

    @property
    def corrupted_ratio(self) -> Tensor:
        """log pi(y_w) - log pi_ref(y_w), both given the corrupted image, shape [n]."""
        assert self.corrupted_chosen is not None and self.ref_corrupted_chosen is not None, "declare the need"
        return self.corrupted_chosen - self.ref_corrupted_chosen


@dataclass(frozen=True)
class Step:
    """One optimiser step over the global batch of N pairs, in an order that does not depend on how it was split.

    Args:
        gap: reward gaps h, detached, float64, shape [N]; None unless the objective's ``needs_reward_gaps``.
        delta: hardness of each pair, shape [N]; None unless the objective needs "hardness".
        delta_mean: mean hardness over the training set.
        rank: which rank computes each pair, shape [N] (the paper's code averages per rank).
        progress: share of all optimiser steps already done, in [0, 1).
        rng: seeded by (seed, step), equal on every rank.
        tolerance: gaps of this step that differ by less are equal but for rounding; 0 where they are exact.
    """

    size: int
    gap: Tensor | None
    delta: Tensor | None
    delta_mean: float
    rank: Tensor
    progress: float
    rng: torch.Generator
    tolerance: float = 0.0


@dataclass(frozen=True)
class Weights:
    """What ``compute_weights`` decided: beta [N], weight [N] (sums to 1 over the kept pairs, 0: dropped), metrics."""

    beta: Tensor
    weight: Tensor
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def kept(self) -> Tensor:
        """Boolean [N]: the pairs that count."""
        return self.weight > 0


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Base of all aligners: a frozen dataclass of hyper-parameters and two pure methods.

    Args:
        beta: how closely the policy is held to the reference: it multiplies the reward gap h.

    Subclasses set ``name``, ``paper``, ``formula`` and ``needs`` (of "reference", "hardness",
    "corrupted:KIND", "column:NAME"), and override ``compute_weights`` and ``losses`` where they differ from DPO.
    """

    beta: Annotated[float, above(0)] = 0.1

    name: ClassVar[str]
    paper: ClassVar[str]
    formula: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def __post_init__(self) -> None:
        require_ranges(self, f"aligner {self.name}")

    @property
    def needs_reward_gaps(self) -> bool:
        """Whether ``compute_weights`` reads the reward gaps of the whole step, which then come before the loss."""
        return False

    @property
    def corruption_settings(self) -> Mapping[str, float]:
        """How the images of "corrupted:KIND" are made, where an objective lets that be chosen."""
        return {}

    def kept_pairs(self, size: int) -> int:
        """How many of a step's ``size`` pairs count in its loss: what a dry run reckons with."""
        return size

    def initial_state(self) -> State:
        """The state before the first step: a flat dictionary of floats, saved in every checkpoint."""
        return {}

    def gaps(self, batch: Batch) -> Tensor:
        """Implicit reward gap h without beta, in nats, shape [n] (METHOD: DPO's h)."""
        return batch.chosen_ratio - batch.rejected_ratio

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        """Beta and weight of every pair of the step, and the next state. Never sees a graph; equal on every rank."""
        beta = torch.full((step.size,), self.beta, dtype=torch.float64)
        return Weights(beta, uniform(step.size)), state

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        """Unreduced loss of each pair, shape [n], given its beta, shape [n]."""
        return -logsigmoid(beta * self.gaps(batch))


def uniform(size: int) -> Tensor:
    """Equal weights 1/N, float64, shape [N]."""
    return torch.full((size,), 1.0 / size, dtype=torch.float64)


def clamp_beta(beta: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Beta clamped from below at 1e-3, with the share that was clamped as a metric."""
    return beta.clamp(min=MIN_BETA), {"clamped": (beta < MIN_BETA).double().mean().item()}


ALIGNERS: Registry[type[Objective]] = Registry(
    "aligner",
    (
        "aligners.dpo",
        "aligners.hardness",
        "aligners.gap",
        "aligners.dama",
        "aligners.beta_dpo",
        "aligners.ipo",
        "aligners.simpo",
        "aligners.da_dpo",
        "aligners.mdpo",
        "aligners.pea_dpo",
        "aligners.pea_dpo_repo",
    ),
    package="aligners",
    group="dama_harness.aligners",
    check=extends(Objective, "name", "paper", "formula"),
    readable=("needs", "needs_reward_gaps"),
    named=True,
)


def register(objective: type[Objective]) -> type[Objective]:
    """Class decorator: makes the objective an aligner under its ``name``."""
    return ALIGNERS.register(objective.name, objective)
