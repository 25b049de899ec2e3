"""The LoRA layer that adds in one product equals peft's, with its gradients, in every state that peft's has."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from harness.models.lora_layer import AddedInOneProduct, add_in_one_product

SCALE = 3.0
"""alpha 6 over rank 2."""


def adapted(**options: Any) -> Any:
    """Two layers [5 -> 7 -> 4] with adapters that change what they make."""
    torch.manual_seed(0)
    base = nn.Sequential(nn.Linear(5, 7), nn.Linear(7, 4, bias=False)).double()
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["0", "1"], init_lora_weights=False, **options)
    return get_peft_model(base, config).double()  # type: ignore[arg-type]


def values_and_slopes(model: Any, inputs: Tensor) -> list[Tensor]:
    inputs = inputs.clone().requires_grad_()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    made = model(inputs)
    loss = (made * torch.arange(made.numel()).view_as(made)).sum()
    return [made, *torch.autograd.grad(loss, [inputs, *weights], allow_unused=True)]


def test_values_and_gradients_are_those_written_out_and_of_peft() -> None:
    model, inputs = adapted(), torch.randn(3, 6, 5, dtype=torch.float64)
    expected = values_and_slopes(model, inputs)
    add_in_one_product(model)
    layers = [module for module in model.modules() if isinstance(module, Linear)]
    assert [type(layer) for layer in layers] == [AddedInOneProduct] * 2
    found = values_and_slopes(model, inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    made = inputs
    for layer in layers:
        whole: Any = layer.base_layer
        down, up = cast(nn.Linear, layer.lora_A["default"]), cast(nn.Linear, layer.lora_B["default"])
        update = up.weight @ down.weight
        made = nn.functional.linear(made, whole.weight + SCALE * update, whole.bias)
    torch.testing.assert_close(found[0], made, rtol=1e-12, atol=1e-12)


def test_no_product_of_the_scale_is_as_wide_as_the_output() -> None:
    """Two layers multiply by the scale once each, two numbers a token; peft's multiply 7 and 4."""
    model, inputs = adapted(), torch.randn(6, 5, dtype=torch.float64)

    def widths() -> list[int]:
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], record_shapes=True) as seen:
            model(inputs)
        return [event.input_shapes[0][-1] for event in seen.events() if event.name == "aten::mul"]

    assert widths() == [7, 4]
    add_in_one_product(model)
    assert widths() == [2, 2]


@pytest.mark.parametrize("options", [{"lora_dropout": 0.5}, {"use_dora": True}, {"lora_bias": True}])
def test_what_it_does_not_do_itself_peft_does(options: dict[str, Any]) -> None:
    model, inputs = adapted(**options), torch.randn(6, 5, dtype=torch.float64)
    torch.manual_seed(1)
    expected = values_and_slopes(model, inputs)
    add_in_one_product(model)
    torch.manual_seed(1)
    for one, other in zip(values_and_slopes(model, inputs), expected, strict=True):
        assert torch.equal(one, other)


def test_switched_off_merged_and_stacked_adapters_count_as_they_do_in_peft() -> None:
    model, inputs = adapted(), torch.randn(6, 5, dtype=torch.float64)
    model.add_adapter("other", LoraConfig(r=3, target_modules=["0"], init_lora_weights=False))
    model.base_model.set_adapter(["default", "other"])
    model.double()
    expected = model(inputs)
    add_in_one_product(model)
    torch.testing.assert_close(model(inputs), expected, rtol=1e-12, atol=1e-12)
    with model.disable_adapter():
        off = model(inputs)
    assert not torch.allclose(off, expected)
    model.merge_adapter()
    torch.testing.assert_close(model(inputs), expected, rtol=1e-12, atol=1e-12)


def test_autocast_computes_in_bfloat16_and_an_adapter_of_zeros_changes_no_bit() -> None:
    model = adapted().float()
    add_in_one_product(model)
    for name, weight in model.named_parameters():
        if ".lora_B." in name:
            nn.init.zeros_(weight)
    inputs = torch.randn(6, 5)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        made = model(inputs)
        with model.disable_adapter():
            assert torch.equal(made, model(inputs))
    assert made.dtype == torch.bfloat16
