"""The shapes of the recipes' models, so that a dry run works without the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    Qwen2_5_VLConfig,
)

from harness.errors import UsageError
from harness.models.checks import CANNOT_LOAD, reason
from harness.models.loading import check_type
from harness.models.processors import hub_options
from harness.models.settings import LoadSettings


def model_config(source: str, settings: LoadSettings | None = None) -> tuple[Any, str]:
    """The configuration of ``source`` (a base model) and where it comes from. Reads no weights.

    Raises UsageError if it cannot be had: no such directory, no network, and not a model of the recipes.
    """
    if source in KNOWN and not Path(source).is_dir():
        return KNOWN[source](), "shapes known to this project"
    try:
        given = settings or LoadSettings()
        check_type(source, given)
        return AutoConfig.from_pretrained(source, **hub_options(given)), "its config.json"
    except CANNOT_LOAD as error:
        raise UsageError(
            f"model {source}: its configuration cannot be read ({reason(error)}). Give a directory with a config.json, "
            f"or a hub id that can be reached. Known without a network: {', '.join(sorted(KNOWN))}."
        ) from error


def llava_15(hidden: int, intermediate: int, layers: int, heads: int) -> LlavaConfig:
    """LLaVA-1.5: CLIP ViT-L/14 at 336 pixels and a Llama."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
        projection_dim=768,
    )
    text = LlamaConfig(
        vocab_size=32064,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=4096,
    )
    return LlavaConfig(vision_config=vision, text_config=text, image_token_index=32000, image_seq_length=576)


def qwen25_vl_3b() -> Qwen2_5_VLConfig:
    """Qwen2.5-VL-3B-Instruct."""
    text = {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    }
    vision = {
        "depth": 32,
        "hidden_size": 1280,
        "intermediate_size": 3420,
        "num_heads": 16,
        "patch_size": 14,
        "window_size": 112,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "out_hidden_size": 2048,
    }
    return Qwen2_5_VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True)


KNOWN = {
    "llava-hf/llava-1.5-7b-hf": lambda: llava_15(4096, 11008, 32, 32),
    "llava-hf/llava-1.5-13b-hf": lambda: llava_15(5120, 13824, 40, 40),
    "Qwen/Qwen2.5-VL-3B-Instruct": qwen25_vl_3b,
}
