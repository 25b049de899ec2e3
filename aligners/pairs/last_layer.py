"""The last decoder layer from where the first response begins: what it makes of earlier tokens, nobody reads.

Keys and values are of all tokens. The products whose rows depend on one token each (queries, output, MLP) and the
attention of these queries are those of the tokens that count, and zeros stand for the others: exact. A mask says where
they begin (``with_first``); hooks within the layer obey it, so that wrappers see it run as they know it, and gradient
checkpointing runs it again alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.hooks import RemovableHandle

from aligners.pairs.tree import Row
from aligners.pairs.wrapped_layers import bare

FIRST = "first_position"
"""The attribute of a mask, and of a last layer's attention: the first position that counts."""
ATTENTION, PARTS = "self_attn", ("self_attn.q_proj", "self_attn.o_proj", "mlp", "feed_forward")
"""The attention of a layer, and its parts that treat every token by itself, by transformers' names."""


def with_first(mask: Any, rows: Sequence[Row]) -> Any:
    """``mask`` of ``rows``, which says from now on where the first position lies whose scores are wanted."""
    setattr(mask, FIRST, min(int(positions.min()) for row in rows for _, positions in row.keep))
    return mask


def first_position(attention: nn.Module) -> int:
    """The first position that counts in ``attention`` as it runs; 0 outside a last layer."""
    return int(vars(attention).get(FIRST, 0))


def last_layer(stock: Any) -> nn.Module | None:
    """The last decoder layer of the transformers model ``stock``; None where its layers are not a list."""
    layers = getattr(stock.get_decoder(), "layers", None)
    return bare(layers[-1]) if layers else None


def token_by_token(layer: nn.Module | None) -> list[nn.Module]:
    """The parts of a last layer that are computed of the tokens that count; none where its attention is not known."""
    modules = dict(layer.named_modules()) if layer is not None else {}
    return [modules[name] for name in PARTS if name in modules] if ATTENTION in modules else []


def shorten_last_layer(stock: Any) -> list[RemovableHandle]:
    """Make the last layer of the transformers model ``stock`` obey what masks say; the handles undo it.

    Nothing is changed where it obeys already, or has none of the parts that are known.
    """
    layer = last_layer(stock)
    parts = token_by_token(layer)
    if layer is None or not parts:
        return []
    attention = layer.get_submodule(ATTENTION)
    if any(isinstance(getattr(hook, "__self__", None), _Shortened) for hook in attention._forward_pre_hooks.values()):
        return []
    shortened = _Shortened()
    handles = [attention.register_forward_pre_hook(shortened.begin, with_kwargs=True)]
    for part in parts:
        handles += [
            part.register_forward_pre_hook(shortened.without_earlier),
            part.register_forward_hook(shortened.with_zeros),
        ]
    return handles


class _Shortened:
    """The hooks of one last layer, and where the tokens that count begin in its present forward, which its attention
    learns from its mask before any of the other parts runs."""

    first = 0

    def begin(self, attention: nn.Module, _: Any, inputs: dict[str, Any]) -> None:
        self.first = vars(attention)[FIRST] = getattr(inputs.get("attention_mask"), FIRST, 0)

    def without_earlier(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        # Some parts take no view.
        return (inputs[0][:, self.first :].contiguous(), *inputs[1:]) if self.first else None

    def with_zeros(self, _: nn.Module, __: Any, output: Tensor) -> Tensor | None:
        return pad(output, (0, 0, self.first, 0)) if self.first else None
