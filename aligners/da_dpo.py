"""DA-DPO: beta scaled by a difficulty score that comes with the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Batch, Objective, register
from harness.util.ranges import above


@register
@dataclass(frozen=True, kw_only=True)
class DaDpo(Objective):
    """Pairs whose scores lie far apart count with a larger beta; the scores are the columns c_chosen and c_rejected.

    Args:
        scale: the factor a of the weight w = (|c_w - c_l| + 1) a.
    """

    scale: Annotated[float, above(0)] = 1.0

    name: ClassVar[str] = "da-dpo"
    paper: ClassVar[str] = "DA-DPO (difficulty-aware preference optimization), scores given in the data"
    formula: ClassVar[str] = "-log sigmoid(beta w h), w = (|c_w - c_l| + 1) a"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "column:c_chosen", "column:c_rejected"})

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        weight = ((batch.columns["c_chosen"] - batch.columns["c_rejected"]).abs() + 1) * self.scale
        return -logsigmoid(beta * weight * self.gaps(batch))
