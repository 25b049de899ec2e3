"""SimPO: mean log-probabilities and a margin, without a reference model (arXiv 2405.14734, equation 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Batch, Objective, register
from harness.util.ranges import above


@register
@dataclass(frozen=True, kw_only=True)
class SimPo(Objective):
    """The gap of mean log-probabilities must exceed a margin.

    Args:
        beta: of the loss; there is no reference that it would hold the policy to.
        gamma: the margin, in units of beta times nats a token.
    """

    beta: Annotated[float, above(0)] = 2.0
    gamma: float = 1.0

    name: ClassVar[str] = "simpo"
    paper: ClassVar[str] = "Meng et al., SimPO, arXiv 2405.14734"
    formula: ClassVar[str] = "-log sigmoid(beta (mean log p_w - mean log p_l) - gamma)"
    needs: ClassVar[frozenset[str]] = frozenset()

    def gaps(self, batch: Batch) -> Tensor:
        return batch.mean_gap

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return -logsigmoid(beta * self.gaps(batch) - self.gamma)
