"""What stops a run: numbers that are not finite, and a start that is not the reference's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from aligners.objective import Batch
from aligners.pairs.encoding import Encoded
from aligners.training.checkpoints import last_checkpoint
from harness.errors import HarnessError
from harness.util.paths import cache_dir


def require_start(batch: Batch, gaps: Tensor, *, half: bool) -> None:
    """Before the first step the policy is the reference: gaps beyond rounding betray a cache of other weights.

    ``half``: bfloat16 is computed in. Nothing is checked for an objective without a reference. Raises HarnessError.
    """
    if batch.ref_chosen is None:
        return
    far = gaps.abs().max().item()
    size = max(batch.policy_chosen.abs().max().item(), batch.policy_rejected.abs().max().item())
    allowed = 1e-2 * size if half else 1e-3 + 1e-6 * size
    if far > allowed:
        raise HarnessError(
            f"the policy does not start at the reference: before the first step the largest reward gap is "
            f"{far:.3g} nats, expected at most {allowed:.3g}. The reference log-probabilities belong to other "
            f"weights or data: remove {cache_dir('reference')} and run again."
        )


def require_finite(values: Tensor, pairs: Sequence[Encoded], what: str, *, step: int, folder: str | None) -> None:
    """Raises HarnessError naming the pairs whose ``what`` is not finite in ``step``; ``folder`` has the checkpoints."""
    bad = [pair.id for pair, fine in zip(pairs, values.isfinite().tolist(), strict=True) if not fine]
    if bad:
        raise HarnessError(
            f"training stopped at step {step}: the {what} of pairs {', '.join(bad)} is not finite. "
            f"{_kept(folder)} Lower lr or check the pairs."
        )


def require_finite_norm(norm: float, *, step: int, folder: str | None) -> None:
    """Raises HarnessError if the gradient's ``norm`` is not finite."""
    if not math.isfinite(norm):
        raise HarnessError(f"training stopped at step {step}: the gradient's norm is {norm}. {_kept(folder)} Lower lr.")


def _kept(folder: str | None) -> str:
    """Which checkpoint in ``folder`` is the last good one."""
    last = last_checkpoint(Path(folder)) if folder else None
    return f"The last good checkpoint is kept: {last}." if last else "There is no checkpoint before that."
