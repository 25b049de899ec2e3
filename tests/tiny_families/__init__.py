"""A random model of a few thousand weights for every supported family, with a processor made offline."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

from harness.models.processors import end_ids, ensure_template
from harness.models.prompts import Prompts
from harness.models.settings import PromptSettings
from tests.tiny_families import llava_like, others
from tests.tiny_families.templates import template
from tests.tiny_families.words import IDS, SPECIAL, text_settings, tokenizer

__all__ = [
    "FAMILIES",
    "IDS",
    "SPECIAL",
    "prompts_of",
    "shared_family",
    "template",
    "text_settings",
    "tiny_family",
    "tokenizer",
]

BUILDERS = {
    "llava": llava_like.llava,
    "pixtral": llava_like.pixtral,
    "llava_next": llava_like.llava_next,
    "llava_onevision": llava_like.llava_onevision,
    "vipllava": llava_like.vipllava,
    "qwen2_vl": others.qwen2_vl,
    "qwen2_5_vl": others.qwen2_5_vl,
    "qwen3_vl": others.qwen3_vl,
    "qwen3_vl_moe": others.qwen3_vl_moe,
    "qwen3_5": others.qwen3_5,
    "qwen3_5_moe": others.qwen3_5_moe,
    "internvl": llava_like.internvl,
    "gemma3": llava_like.gemma3,
    "paligemma": llava_like.paligemma,
    "mistral3": llava_like.mistral3,
    "glm4v": others.glm4v,
    "glm4v_moe": others.glm4v_moe,
    "aya_vision": llava_like.aya_vision,
    "idefics2": others.idefics2,
    "idefics3": others.idefics3,
    "smolvlm": others.smolvlm,
    "mllama": others.mllama,
    "lfm2_vl": others.lfm2_vl,
}
FAMILIES = tuple(BUILDERS)


def tiny_family(family: str, seed: int = 0) -> tuple[Any, Any]:
    """Model (float64, sdpa, train mode off) and processor of ``family``."""
    processor, config = BUILDERS[family]()
    torch.manual_seed(seed)
    # experts in a loop: the grouped product takes no float64
    settings = {"attn_implementation": "sdpa", "experts_implementation": "eager"}
    model: Any = AutoModelForImageTextToText.from_config(config, **settings)
    model = model.double().eval()
    assert model.config.get_text_config().vocab_size == text_settings()["vocab_size"]
    with torch.no_grad():  # the default is too small for images to matter
        for name, weight in model.named_parameters():
            if weight.dim() > 1 or name.endswith("_gate"):  # Mllama's images begin behind closed gates
                weight.normal_(0, 0.2)
    return model, processor


@cache
def shared_family(family: str) -> tuple[Any, Prompts]:
    """The same model for all tests that change neither it nor its processor, and how it is asked; thoughts closed."""
    model, processor = tiny_family(family)
    return model, prompts_of(model, processor)


def prompts_of(model: Any, processor: Any) -> Prompts:
    """How a tiny model is asked: with its own template or its family's, thoughts closed."""
    ensure_template(processor, model.config)
    return Prompts(processor, end_ids(model.generation_config, processor), PromptSettings(thinking="off"))
