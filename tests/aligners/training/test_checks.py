"""What stops a run says which pairs, and keeps the last good checkpoint."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.objective import Batch
from harness.errors import HarnessError
from tests.aligners.training.runs import Bench


def test_a_reference_of_other_weights_stops_the_run_before_it_begins(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = property(lambda self: torch.full(self.lengths.shape, -7.0, dtype=torch.float64).cumsum(1))
    monkeypatch.setattr("aligners.pairs.reference.Reference.sums", wrong)
    monkeypatch.setattr("aligners.pairs.reference.ReferenceModel._confirmed", lambda self, known, *_: known)
    for objective in (Dpo(), Gap()):
        with pytest.raises(HarnessError, match="does not start at the reference"):
            bench.run(objective, "wrong")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breaks(Dpo):
    """NaN once a pair's gap has moved away from 0, which it has at the second step."""

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return super().losses(batch, beta) * torch.where(self.gaps(batch).abs() > 1e-3, torch.nan, 1.0)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(bench: Bench) -> None:
    stopped = r"stopped at step 2: the loss of pairs \d+.* is not finite\. "
    with pytest.raises(HarnessError, match=stopped + r"The last good checkpoint is kept: .*/nan/checkpoint-1\. Lower"):
        bench.run(Breaks(), "nan", checkpoint_every=1, warmup=0.0)
    with pytest.raises(HarnessError, match=stopped + r"There is no checkpoint before that\. Lower"):
        bench.run(Breaks(), "none", checkpoint_every=0, warmup=0.0)
    assert [path.name for path in (bench.folder / "nan").glob("checkpoint-*")] == ["checkpoint-1"]


def test_running_out_of_memory_names_batch_length_and_setting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("aligners.training.trainer.response_logprobs", full)
    for objective in (Dpo(), Gap()):
        with pytest.raises(HarnessError, match=r"with 8 pairs of up to \d+ tokens .* Set micro_batch=4"):
            bench.run(objective, "memory", micro_batch=8)
