"""Whether every trained parameter takes part in every micro-batch, so that DDP need not search for those that do not:
the search walks the graph of each forward, and holds back the exchange of gradients until it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aligners.pairs.data import Pair
from aligners.pairs.forward import stock_model
from harness.models.families import family_of


def all_take_part(model: Any, pairs: Sequence[Pair]) -> bool:
    """Whether each micro-batch of ``pairs`` reaches all trained parameters of ``model`` (with or without adapters).

    Not where a pair without an image passes the projector by, a trained tower's last layers are not read, tokens choose
    their experts, or nothing is known of the family (cross-attention is left out without an image).
    """
    family = family_of(stock_model(model).config)
    names = [name.partition("base_model.model.")[2] or name for name, p in model.named_parameters() if p.requires_grad]
    return (
        family.image_prefix
        and all(pair.images for pair in pairs)
        and not any(family.is_vision(name) or ".experts." in name for name in names)
    )
