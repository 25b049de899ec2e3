"""PEA-DPO as its published figures were made: hinges on mean log-probabilities, without a reference (ACM MM 2026)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor
from torch.nn.functional import relu

from aligners.objective import Batch, Objective, register
from harness.util.ranges import above, at_least, share


@register
@dataclass(frozen=True, kw_only=True)
class PeaDpoRepo(Objective):
    """The gap of mean log-probabilities must exceed a margin; so must the chosen response's to itself under a mask.

    The loss that the authors' scripts call `repo`, of a relative preference with a hinge; pea-dpo is the smooth one.

    Args:
        beta: factor of both gaps; there is no reference that it would hold the policy to.
        gamma: the margin between the responses, in beta times nats a token.
        image_gamma: the margin between the image and its masked copy, in the same unit.
        image_weight: of the image term.
        mask_side: share of either side of the image that a mask covers.
    """

    beta: Annotated[float, above(0)] = 1.0
    gamma: float = 1.5
    image_gamma: float = 4.5
    image_weight: Annotated[float, at_least(0)] = 0.2
    mask_side: Annotated[float, share("of either side")] = 0.3

    name: ClassVar[str] = "pea-dpo-repo"
    paper: ClassVar[str] = "PEA-DPO (ACM MM 2026), the variant of its published table"
    formula: ClassVar[str] = (
        "max(0, gamma - beta (mean log p_w - mean log p_l)) + 0.2 max(0, image_gamma - beta (mean log p_w - mean log "
        "p_w(I'))), I' = I under the mask CLIP finds worst"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"corrupted:mask"})

    @property
    def corruption_settings(self) -> Mapping[str, float]:
        return {"side": self.mask_side}

    def gaps(self, batch: Batch) -> Tensor:
        return batch.mean_gap

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        assert batch.corrupted_chosen is not None and batch.chosen_length is not None, "declare the need"
        image = (batch.policy_chosen - batch.corrupted_chosen) / batch.chosen_length
        return relu(self.gamma - beta * self.gaps(batch)) + self.image_weight * relu(self.image_gamma - beta * image)
