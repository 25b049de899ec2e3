"""One step of an objective on plain numbers, in float64: the `objective` command for scripts and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aligners.objective import Batch, Objective, State, Step
from harness.errors import UsageError


def objective_step(objective: Objective, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Betas, losses, kept pairs, the step's loss and the next state for the numbers in ``payload``.

    Args:
        objective: the aligner with its settings.
        payload: lists of one number a pair, in nats: ``policy_chosen``, ``policy_rejected``, and, where the objective
            needs them, ``ref_chosen``, ``ref_rejected``, ``delta`` (with the number ``delta_mean``), the columns it
            asks for; ``chosen_length`` and ``rejected_length`` in tokens (1 each where absent: the log-probabilities
            are then means already); ``state`` (null: the initial one), ``seed`` (0), ``progress`` (0) in [0, 1).

    Returns:
        ``beta``, ``loss_per_pair``, ``kept`` (one item a pair), ``loss`` (mean over the kept) and ``state``.

    Raises:
        UsageError: a field is missing, misshapen or not finite; the message names it.
    """
    fields = _Fields(payload)
    batch = _batch(fields, objective.needs)
    state = _state(fields, objective)
    with torch.no_grad():
        weights, next_state = objective.compute_weights(_step(fields, objective, batch), state)
        losses = objective.losses(batch, weights.beta)
    return {
        "beta": weights.beta.tolist(),
        "loss_per_pair": losses.tolist(),
        "kept": weights.kept.tolist(),
        "loss": float(losses[weights.kept] @ weights.weight[weights.kept]),
        "state": dict(next_state),
    }


def _batch(fields: _Fields, needs: frozenset[str]) -> Batch:
    reference, corrupted = "reference" in needs, any(need.startswith("corrupted:") for need in needs)
    columns = [need.removeprefix("column:") for need in needs if need.startswith("column:")]
    return Batch(
        policy_chosen=fields.vector("policy_chosen"),
        policy_rejected=fields.vector("policy_rejected"),
        ref_chosen=fields.vector("ref_chosen") if reference else None,
        ref_rejected=fields.vector("ref_rejected") if reference else None,
        chosen_length=fields.lengths("chosen_length"),
        rejected_length=fields.lengths("rejected_length"),
        corrupted_chosen=fields.vector("corrupted_chosen") if corrupted else None,
        ref_corrupted_chosen=fields.vector("ref_corrupted_chosen") if corrupted and reference else None,
        columns={name: fields.vector(name) for name in columns},
    )


def _step(fields: _Fields, objective: Objective, batch: Batch) -> Step:
    hardness = "hardness" in objective.needs
    progress = fields.number("progress", default=0.0)
    if not 0 <= progress < 1:
        raise UsageError(f"objective input: progress={progress}: expected the share of steps done, in [0, 1).")
    return Step(
        size=fields.size,
        gap=objective.gaps(batch) if objective.needs_reward_gaps else None,
        delta=fields.vector("delta") if hardness else None,
        delta_mean=fields.number("delta_mean") if hardness else 0.0,
        rank=torch.zeros(fields.size, dtype=torch.long),
        progress=progress,
        rng=torch.Generator().manual_seed(fields.seed()),
    )


def _state(fields: _Fields, objective: Objective) -> State:
    """The given state over the initial one; names the objective does not use are left aside."""
    given, initial = fields.payload.get("state"), objective.initial_state()
    if given is None:
        return initial
    if not isinstance(given, Mapping):
        raise UsageError(
            f'objective input: state: expected null or an object such as {{"r_bar": 0.0}}, found {given!r}.'
        )
    return {name: _finite(f"state.{name}", given.get(name, value)) for name, value in initial.items()}


class _Fields:
    """The payload, read field by field with errors that name the field."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        if not isinstance(payload, Mapping):
            raise UsageError(f"objective input: expected one JSON object, found {type(payload).__name__}.")
        self.payload = payload
        first = payload.get("policy_chosen")
        self.size = len(first) if isinstance(first, list | tuple) else 0

    def vector(self, name: str) -> Tensor:
        """A list of one finite number a pair, as float64 [N]."""
        if self.payload.get(name) is None:
            raise UsageError(
                f"objective input: {name} is missing; expected a list of one number a pair. Its fields are: "
                f"{', '.join(sorted(map(str, self.payload))) or 'none'}."
            )
        values = self.payload[name]
        if not isinstance(values, list | tuple) or not values:
            raise UsageError(f"objective input: {name}: expected a list of one number a pair, found {values!r}.")
        if len(values) != self.size:
            raise UsageError(
                f"objective input: {name} has {len(values)} numbers, policy_chosen has {self.size}; "
                "expected one number a pair in each."
            )
        numbers = [_finite(f"{name}[{index}]", value) for index, value in enumerate(values)]
        return torch.tensor(numbers, dtype=torch.float64)

    def lengths(self, name: str) -> Tensor:
        """Response lengths in tokens, 1 each where the field is absent."""
        if self.payload.get(name) is None:
            return torch.ones(self.size, dtype=torch.float64)
        lengths = self.vector(name)
        if (lengths <= 0).any():
            raise UsageError(f"objective input: {name}: expected lengths above 0, found {lengths.min().item():g}.")
        return lengths

    def number(self, name: str, default: float | None = None) -> float:
        """A single finite number; required where no ``default`` is given."""
        value = self.payload.get(name)
        if value is None and default is None:
            raise UsageError(f"objective input: {name} is missing; expected a number.")
        return _finite(name, default if value is None else value)

    def seed(self) -> int:
        """The seed of the step's generator."""
        seed = self.payload.get("seed")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise UsageError(f"objective input: seed={seed!r}: expected a whole number.")
        return int(seed or 0) % 2**63


def _finite(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"objective input: {name}={value!r}: expected a finite number.")
    return float(value)
