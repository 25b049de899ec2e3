"""Which parameters are trained: the language model in full, or LoRA adapters on its linear layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.models.families import family_of


def make_trainable(model: Any, config: AlignConfig) -> Any:
    """Freeze and adapt ``model`` as ``config`` says; returns the model to train (a PeftModel under LoRA)."""
    if config.lora_rank:
        return _with_lora(model, config)
    family = family_of(model.config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(config.train_vision or not family.is_vision(name))
    return model


def lora_targets(model: Any) -> list[str]:
    """Names of the language model's linear layers. Not peft's "all-linear", which adapts the vision tower as well."""
    family = family_of(model.config)
    names = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and family.is_language(name)
    ]
    if not names:
        raise UsageError(
            f"LoRA: {type(model).__name__} has no linear layer under {' or '.join(family.language)}; use lora_rank=0."
        )
    return names


def _with_lora(model: Any, config: AlignConfig) -> Any:
    from peft import LoraConfig, get_peft_model

    # No dropout: the second pass over a step must see the gaps of the first.
    settings = LoraConfig(
        r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=0.0, target_modules=lora_targets(model)
    )
    return get_peft_model(model, settings)
