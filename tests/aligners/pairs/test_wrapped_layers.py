"""Adapters in layers that are wrapped for activation checkpointing are saved as those of layers that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    ActivationWrapper,
    checkpoint_wrapper,
    offload_wrapper,
)

from aligners.pairs.wrapped_layers import bare, plain_names
from tests.tiny_families import tiny_family


def test_an_adapter_is_saved_by_the_plain_names_and_the_wrappers_are_back_afterwards(tmp_path: Path) -> None:
    """Two layers with q_proj and v_proj, of two matrices each: 8 tensors."""
    model, _ = tiny_family("llava")
    adapted: Any = get_peft_model(model, LoraConfig(r=2, target_modules=r".*language_model.*\.(q_proj|v_proj)"))
    adapted.save_pretrained(tmp_path / "plain")
    expected = load_file(tmp_path / "plain" / "adapter_model.safetensors")
    assert len(expected) == 8

    layers = adapted.get_base_model().get_decoder().layers
    first, second = layers
    wrapped = checkpoint_wrapper(first), offload_wrapper(checkpoint_wrapper(second))  # one in another
    for at, wrapper in enumerate(wrapped):
        layers[at] = wrapper
    names = [name for name, _ in adapted.named_modules()]
    with plain_names(adapted):
        assert [*layers] == [first, second]
        adapted.save_pretrained(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "adapter_model.safetensors")
    assert saved.keys() == expected.keys() and all(torch.equal(saved[name], expected[name]) for name in saved)
    assert [name for name, _ in adapted.named_modules()] == names and [bare(each) for each in layers] == [first, second]


def test_the_wrappers_are_back_after_an_error() -> None:
    model, _ = tiny_family("llava")
    layers = model.get_decoder().layers
    layers[0] = checkpoint_wrapper(layers[0])
    with pytest.raises(OSError, match="disk full"), plain_names(model):
        raise OSError("disk full")
    assert isinstance(layers[0], ActivationWrapper)
