"""PEA-DPO, smooth: DPO and a preference for the image over the mask that hurts it most (ACM MM 2026)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Batch, Objective, register
from harness.util.ranges import at_least


@register
@dataclass(frozen=True, kw_only=True)
class PeaDpo(Objective):
    """The chosen response should need the image: given a masked copy its log-ratio should be smaller.

    Args:
        image_weight: of the image term.
    """

    image_weight: Annotated[float, at_least(0)] = 0.2

    name: ClassVar[str] = "pea-dpo"
    paper: ClassVar[str] = "PEA-DPO (ACM MM 2026)"
    formula: ClassVar[str] = (
        "-log sigmoid(beta h) - 0.2 log sigmoid(beta (r_w(I) - r_w(I'))), I' = I under the mask CLIP finds worst"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "corrupted:mask"})

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        image = -logsigmoid(beta * (batch.chosen_ratio - batch.corrupted_ratio))
        return super().losses(batch, beta) + self.image_weight * image
