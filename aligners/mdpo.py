"""mDPO: DPO with an image-conditional pair and an anchor (arXiv 2406.11839)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Batch, Objective, register
from harness.util.ranges import at_least


@register
@dataclass(frozen=True, kw_only=True)
class Mdpo(Objective):
    """Prefers the chosen response given the image to the same response given a cropped image, and anchors its reward.

    Args:
        image_weight: of the image-conditional term.
        anchor_weight: of the anchor, which asks the chosen response's log-ratio to stay above ``anchor``.
        anchor: in nats, after beta.
    """

    image_weight: Annotated[float, at_least(0)] = 1.0
    anchor_weight: Annotated[float, at_least(0)] = 1.0
    anchor: float = 0.0

    name: ClassVar[str] = "mdpo"
    paper: ClassVar[str] = "Wang et al., mDPO, arXiv 2406.11839 (EMNLP 2024)"
    formula: ClassVar[str] = (
        "-log sigmoid(beta h) - log sigmoid(beta (r_w(I) - r_w(I'))) - log sigmoid(beta r_w(I) - anchor), "
        "r_w = log pi(y_w) - log pi_ref(y_w), I' a crop of I"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "corrupted:crop"})

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        image = -logsigmoid(beta * (batch.chosen_ratio - batch.corrupted_ratio))
        anchor = -logsigmoid(beta * batch.chosen_ratio - self.anchor)
        return super().losses(batch, beta) + self.image_weight * image + self.anchor_weight * anchor
