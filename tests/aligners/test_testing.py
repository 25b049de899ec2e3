"""The check of aligners finds what is wrong with one; the project's own pass it in test_objectives.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from aligners.objective import Batch, Objective, State, Step, Weights
from aligners.testing import check_aligner


@dataclass(frozen=True, kw_only=True)
class Good(Objective):
    """DPO by another name, with a counter for a state."""

    name: ClassVar[str] = "good"
    paper: ClassVar[str] = "none"
    formula: ClassVar[str] = "-log sigmoid(beta h)"

    def initial_state(self) -> State:
        return {"steps": 0.0}

    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        weights, _ = super().compute_weights(step, state)
        return weights, {"steps": state["steps"] + 1}


class WrongSign(Good):
    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return -super().losses(batch, beta)


class Reduced(Good):
    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return super().losses(batch, beta).mean()


class LooksAtTheOthers(Good):
    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        losses = super().losses(batch, beta)
        return losses + (losses - losses.mean())


class Overflows(Good):
    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return torch.exp(-self.gaps(batch))


class DropsWithoutSaying(Good):
    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        weights, after = super().compute_weights(step, state)
        first = torch.zeros_like(weights.weight)
        first[0] = 1.0
        return Weights(weights.beta, first), after


class DoesNotSumToOne(Good):
    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        weights, after = super().compute_weights(step, state)
        return Weights(weights.beta, 2 * weights.weight), after


class ChangesItsState(Good):
    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        assert isinstance(state, dict)
        state["steps"] += 1
        return super().compute_weights(step, state)


class StateOfTensors(Good):
    def compute_weights(self, step: Step, state: State) -> tuple[Weights, State]:
        weights, _ = super().compute_weights(step, state)
        after: Mapping[str, float] = {"steps": float(len(state)), "more": 1.0}
        return weights, after


class NoFormula(Objective):
    name = "bare"
    paper = "none"


def test_a_good_aligner_passes() -> None:
    check_aligner(Good)
    check_aligner(Good, beta=0.5)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (WrongSign, "a likelier chosen response must lower the loss"),
        (Reduced, "one loss a pair, unreduced"),
        (LooksAtTheOthers, "losses of micro-batches"),
        (Overflows, "are not finite"),
        (DropsWithoutSaying, "kept_pairs says 5, kept: 1"),
        (DoesNotSumToOne, "weights sum to 2"),
        (ChangesItsState, "compute_weights changed the state it was given"),
        (StateOfTensors, "the next state"),
        (NoFormula, "it has no 'formula'"),
    ],
)
def test_the_check_says_what_is_wrong_with_an_aligner(kind: type[Objective], reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_aligner(kind)
