"""What a step notes stays on its device until the step ends, and is then what reading at once gives."""

from __future__ import annotations

import pytest
import torch

from aligners.pairs.encoding import Encoded
from aligners.training.step_log import StepLog
from harness.errors import HarnessError


def pair(name: str) -> Encoded:
    return Encoded(0, name, torch.ones(1), torch.ones(1), torch.ones(1), {}, {})


def test_noting_reads_no_number() -> None:
    """On the meta device there is none: reading one raises."""
    losses = torch.ones(2, device="meta")
    with pytest.raises(RuntimeError):
        losses.sum().item()
    log = StepLog()
    log.note_losses([pair("a"), pair("b")], losses, losses.sum())
    log.note_gaps(losses.double(), losses.double(), [1, 0])


def test_losses_gaps_and_betas_are_those_that_were_noted() -> None:
    log, values = StepLog(), torch.tensor([0.1, 0.7, 0.3])
    log.note_losses([pair("a"), pair("b")], values[:2], values[:2].sum())
    log.note_losses([pair("c")], values[2:], values[2])
    log.note_gaps(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.1]), [2, 0])
    log.note_gaps(torch.tensor([3.0]), torch.tensor([0.2]), [1])
    log.require_finite(step=1, folder="there")
    assert log.loss == values[:2].sum().item() + values[2].item()
    expected = [(1.0, 0.0, 30.0), (2.0, 0.1, 10.0), (3.0, 0.2, 20.0)]
    found = log.rewards(torch.tensor([10.0, 20.0, 30.0]))
    assert [tuple(row) for row in found] == [pytest.approx(row) for row in expected]


def test_a_loss_that_is_not_finite_names_its_pair_among_all_micro_batches() -> None:
    log = StepLog()
    log.note_losses([pair("a")], torch.ones(1), torch.ones(()))
    log.note_losses([pair("b"), pair("c")], torch.tensor([1.0, torch.inf]), torch.tensor(torch.inf))
    with pytest.raises(HarnessError, match="stopped at step 7: the loss of pairs c is not finite"):
        log.require_finite(step=7, folder="there")
