"""mDPO: DPO with an image-conditional pair and an anchor (arXiv 2406.11839)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import logsigmoid

from aligners.objective import Batch, Objective, register
from harness.errors import UsageError
from harness.util.ranges import at_least, share


@register
@dataclass(frozen=True, kw_only=True)
class Mdpo(Objective):
    """Prefers the chosen response given the image to the same response given a cropped image, and anchors its reward.

    Args:
        image_weight: of the image-conditional term.
        anchor_weight: of the anchor, which asks the chosen response's log-ratio to stay above ``anchor``.
        anchor: in nats, after beta.
        crop_least: share of the image's area that the crop keeps at least.
        crop_most: share that it keeps at most.
    """

    image_weight: Annotated[float, at_least(0)] = 1.0
    anchor_weight: Annotated[float, at_least(0)] = 1.0
    anchor: float = 0.0
    crop_least: Annotated[float, share("of the image's area")] = 0.01
    crop_most: Annotated[float, share("of the image's area")] = 0.2

    name: ClassVar[str] = "mdpo"
    paper: ClassVar[str] = "Wang et al., mDPO, arXiv 2406.11839 (EMNLP 2024)"
    formula: ClassVar[str] = (
        "-log sigmoid(beta h) - log sigmoid(beta (r_w(I) - r_w(I'))) - log sigmoid(beta r_w(I) - anchor), "
        "r_w = log pi(y_w) - log pi_ref(y_w), I' a crop that keeps 1-20 % of I"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "corrupted:crop"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_least > self.crop_most:
            raise UsageError(
                f"aligner mdpo: crop_least={self.crop_least:g} is above crop_most={self.crop_most:g}: the crop keeps "
                "a share between them. Exchange them."
            )

    @property
    def corruption_settings(self) -> Mapping[str, float]:
        return {"least": self.crop_least, "most": self.crop_most}

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        image = -logsigmoid(beta * (batch.chosen_ratio - batch.corrupted_ratio))
        anchor = -logsigmoid(beta * batch.chosen_ratio - self.anchor)
        return super().losses(batch, beta) + self.image_weight * image + self.anchor_weight * anchor
