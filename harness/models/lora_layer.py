"""peft's LoRA layer with the adapter's last product added to the base's output as it is made, not afterwards.

The scale is that of the few numbers of a rank instead of a layer's width: the same value (Hu et al. 2022, eq. 3) with
two passes fewer over the output in the forward, and one in the backward.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn


def add_in_one_product(model: nn.Module) -> None:
    """Make all LoRA layers of ``model`` on plain linear ones ``AddedInOneProduct``, in place."""
    for module in model.modules():
        if type(module) is Linear:
            module.__class__ = AddedInOneProduct


class AddedInOneProduct(Linear):
    """peft's layer; what it does not do by itself (variants, dropout, partitioned weights), peft's forward does."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        adapters = [name for name in self.active_adapters if name in self.lora_A]
        if args or kwargs or self.disable_adapters or self.merged or not all(map(self._is_plain, adapters)):
            return super().forward(x, *args, **kwargs)
        result: Tensor = self.base_layer(x)
        made = result.dtype
        for name in adapters:
            down, up = cast(nn.Linear, self.lora_A[name]), cast(nn.Linear, self.lora_B[name])
            low = down(self._cast_input_dtype(x, down.weight.dtype)) * self.scaling[name]
            if low.dtype == result.dtype:
                result = torch.addmm(result.flatten(0, -2), low.flatten(0, -2), up.weight.T).view_as(result)
            else:
                result = result + up(low)
        return result.to(made)

    def _is_plain(self, name: str) -> bool:
        up = self.lora_B[name]
        return (
            name not in self.lora_variant
            and type(self.lora_dropout[name]) is nn.Identity
            and type(up) is nn.Linear
            and up.bias is None
            and up.weight.numel() > 0  # ZeRO-3 holds it whole within its own call alone
        )
