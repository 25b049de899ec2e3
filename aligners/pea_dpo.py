"""PEA-DPO, the smooth variant: DPO and a preference for the image over the mask that hurts it most (ACM MM 2026).

The paper's published figures are of another variant, pea-dpo-repo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Batch, Objective, register
from harness.util.ranges import at_least, share


@register
@dataclass(frozen=True, kw_only=True)
class PeaDpo(Objective):
    """The chosen response should need the image: given a masked copy its log-ratio should be smaller.

    Args:
        image_weight: of the image term.
        mask_side: share of either side of the image that a mask covers.
    """

    image_weight: Annotated[float, at_least(0)] = 0.2
    mask_side: Annotated[float, share("of either side")] = 0.3

    name: ClassVar[str] = "pea-dpo"
    paper: ClassVar[str] = "PEA-DPO (ACM MM 2026), smooth: not the variant of its published table"
    formula: ClassVar[str] = (
        "-log sigmoid(beta h) - 0.2 log sigmoid(beta (r_w(I) - r_w(I'))), I' = I under the mask CLIP finds worst"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "corrupted:mask"})

    @property
    def corruption_settings(self) -> Mapping[str, float]:
        return {"side": self.mask_side}

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        image = -logsigmoid(beta * (batch.chosen_ratio - batch.corrupted_ratio))
        return super().losses(batch, beta) + self.image_weight * image
