"""Which parameters are trained: the language model in full, or LoRA adapters on its linear layers."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.models.adapters import put_in_effect
from harness.models.families import UNKNOWN, family_of

IN_EXPERTS = frozenset({"gate", "shared_expert_gate", "gate_proj", "up_proj", "down_proj", "w1", "w2", "w3"})
"""Names of layers in or beside experts; peft takes some of them for the experts' own."""


def make_trainable(model: Any, config: AlignConfig) -> Any:
    """Freeze and adapt ``model`` as ``config`` says; returns the model to train (a PeftModel under LoRA)."""
    if config.lora_rank:
        adapted = model if config.adapter_start == "continue" else _with_lora(model, config)
        put_in_effect(adapted, trained="default")
        commit = getattr(model.config, "_commit_hash", None)  # of a hub model; a branch or tag may move
        own = adapted.peft_config["default"]
        own.revision = commit or own.revision
        if isinstance(own.target_modules, set):
            own.target_modules = sorted(own.target_modules)  # a set is written in another order by every process
        return adapted
    family = family_of(model.config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(config.train_vision or not family.is_vision(name))
    return model


def lora_targets(model: Any) -> list[str]:
    """Names of the language model's linear layers. Not peft's "all-linear", which adapts the vision tower as well.

    Of a mixture of experts only those of its attention: its experts are tensors of three dimensions, and peft would
    move an adapter of a dense layer of the same name onto them.
    """
    names = linear_layers(model)
    if expert_tensors(model):
        names = [name for name in names if name.rpartition(".")[2] not in IN_EXPERTS]
    if not names:
        root = language_model(model)
        raise UsageError(f"LoRA: {type(model).__name__} has no linear layer under {root}; use lora_rank=0.")
    return names


def linear_layers(model: Any) -> list[str]:
    """Names of the linear layers of the language model."""
    root = language_model(model)
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    # A layer that has an adapter already is the layer below the adapter, and no part of it.
    layers = dict.fromkeys(name.removesuffix(".base_layer") for name in linear if ".lora_" not in name)
    return [name for name in layers if f"{name}.".startswith(f"{root}.")]


def language_model(model: Any) -> str:
    """The (dotted) name of the language model, by its family, else as transformers finds it."""
    family = family_of(model.config)
    if family is not UNKNOWN:
        return f"model.{family.language}"
    decoder = model.get_decoder()
    names: list[str] = [name for name, module in model.named_modules() if module is decoder and name]
    return names[0] if names else "language_model"


def expert_tensors(model: Any) -> list[str]:
    """Names of the parameters that hold the experts of a layer, [experts, ...] each; none in a dense model."""
    return [name for name, weight in model.named_parameters() if ".experts." in name and weight.dim() == 3]


def require_same_shape(model: Any, config: AlignConfig) -> None:
    """Raise UsageError if the adapter that is trained further has another shape than ``config`` records."""
    own = model.peft_config["default"]
    if (own.r, own.lora_alpha) != (config.lora_rank, config.lora_alpha):
        raise UsageError(
            f"align: adapter_start=continue: the adapter has rank {own.r} and alpha {own.lora_alpha}; give "
            f"lora_rank={own.r} and lora_alpha={own.lora_alpha}."
        )


def _with_lora(model: Any, config: AlignConfig) -> Any:
    from peft import LoraConfig, get_peft_model

    # No dropout: the second pass over a step must see the gaps of the first.
    settings = LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=0.0, target_modules=lora_targets(model)
    )
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        torch.manual_seed(config.seed)  # the same first weights on every process and in every run
        warnings.filterwarnings("ignore", message="You are trying to modify a model with PEFT for a second time")
        return get_peft_model(model, settings)
