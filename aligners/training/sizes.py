"""Numbers of parameters of a model by what they cost, counted without its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from aligners.pairs.last_layer import last_layer, token_by_token
from aligners.training.config import AlignConfig
from aligners.training.lora import expert_tensors, linear_layers, lora_targets
from harness.models.families import family_of


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; ``language`` counts the decoder's linear layers and the experts that a token goes through,
    ``head`` the output projection, ``last`` what of the last layer is computed from the first response on alone.
    """

    total: int
    trainable: int
    language: int
    vision: int
    head: int
    last: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int


def parameters(shapes: Any, config: AlignConfig) -> Parameters:
    """Counted on a model without weights."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(shapes)  # type: ignore[no-untyped-call]
    counts = {name: weight.numel() for name, weight in model.named_parameters()}
    text = shapes.get_text_config()
    experts = _active_experts(model, text)
    language = sum(counts[f"{name}.weight"] for name in linear_layers(model)) + experts
    vision = sum(count for name, count in counts.items() if family_of(shapes).is_vision(name))
    trainable = sum(counts.values()) - (0 if config.train_vision else vision)
    if config.lora_rank:
        linears = dict(model.named_modules())
        trainable = sum(config.lora_rank * sum(_sides(linears[name])) for name in lora_targets(model))
    return Parameters(
        total=sum(counts.values()),
        trainable=trainable,
        language=language,
        vision=vision,
        head=text.vocab_size * text.hidden_size,
        last=_of_last_layer(model) + experts // text.num_hidden_layers,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        vocabulary=text.vocab_size,
    )


def _of_last_layer(model: Any) -> int:
    """Parameters of the last layer's linear parts that treat every token by itself, experts left out."""
    parts = token_by_token(last_layer(model))
    linear = [module for part in parts for module in part.modules() if isinstance(module, nn.Linear)]
    return sum(module.weight.numel() for module in linear)


def _active_experts(model: Any, text: Any) -> int:
    """Parameters of the experts through which a token goes; 0 in a dense model."""
    tensors = dict(model.named_parameters())
    return sum(tensors[name].numel() // len(tensors[name]) * text.num_experts_per_tok for name in expert_tensors(model))


def _sides(linear: Any) -> tuple[int, int]:
    assert isinstance(linear, nn.Linear)
    return linear.in_features, linear.out_features
