"""What of a model is trained, and which models cannot be: known from the configuration, before anything is read."""

from __future__ import annotations

import inspect
from typing import Any

from transformers import AutoModelForImageTextToText

from aligners.training.config import AlignConfig
from aligners.training.lora import expert_tensors, language_model, lora_targets
from harness.errors import UsageError
from harness.models.families import UNKNOWN, family_of, lies_in


def require_trainable(shapes: Any, config: AlignConfig) -> None:
    """Raise UsageError naming its type if a model of configuration ``shapes`` cannot be trained as ``config`` says."""
    kind = f"model {config.model}: type {shapes.model_type}"
    if getattr(shapes, "is_encoder_decoder", False):
        raise UsageError(
            f"{kind} is an encoder and a decoder: its answer does not follow its prompt in one sequence, which the "
            "objectives compare. Train a model of docs/models.md; this one can be asked (bench)."
        )
    mapping: Any = AutoModelForImageTextToText._model_mapping
    if type(shapes) in mapping and "logits_to_keep" not in inspect.signature(mapping[type(shapes)].forward).parameters:
        raise UsageError(
            f"{kind} makes the logits of whole sequences only, where those of the responses are wanted. Train a model "
            "of docs/models.md; this one can be asked (bench)."
        )
    if type(shapes) not in mapping and not getattr(shapes, "auto_map", None):
        raise UsageError(
            f"{kind} is no image-text-to-text model of transformers. Train a model of docs/models.md; answers made "
            "elsewhere are scored as openai: or replay:."
        )
    if family_of(shapes) is UNKNOWN and not config.lora_rank and not config.train_vision:
        raise UsageError(
            f"{kind} is of no family whose vision tower is known here (docs/models.md), so that it cannot be frozen. "
            "Set lora_rank (for example 64), which adapts the language model alone, or train_vision=true, which "
            "trains everything; a row in harness/models/families.py makes it known."
        )


def trained_parts(model: Any, config: AlignConfig) -> str:
    """In words, what of ``model`` (not yet adapted) ``config`` trains, for the record."""
    family = family_of(model.config)
    if config.adapter_start == "continue":
        return "the adapter that it starts with"
    if config.lora_rank:
        experts = len(expert_tensors(model))
        left = f"; {experts} tensors of experts stay as they are" if experts else ""
        return f"adapters on {len(lora_targets(model))} linear layers of {language_model(model)}{left}"
    if config.train_vision:
        return "everything"
    inside = [path for path in family.projector if any(lies_in(path, tower) for tower in family.tower)]
    frozen = ", ".join(f"model.{path}" for path in family.tower)
    return f"everything but {frozen}" + "".join(f"; model.{path} in it is" for path in inside)
