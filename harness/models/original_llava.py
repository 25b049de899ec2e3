"""Checkpoints as LLaVA's own repository writes them: their names of weights, configuration and prompts, in the hub's.

The layout is that of ``llava/model`` at https://github.com/haotian-liu/LLaVA, the target that of
``convert_llava_weights_to_hf.py`` in transformers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, MistralConfig

from harness.errors import UsageError
from harness.models.families import FAMILIES
from harness.models.sources import ORIGINAL_LAYOUT, is_original

TOWER = "model.vision_tower.vision_tower."
"""Before the names of the vision tower's weights, in checkpoints that hold it."""
RENAMED = (
    (re.compile(r"^model\.vision_tower\.vision_tower\."), "vision_tower."),
    (re.compile(r"^model\.mm_projector\.0\."), "multi_modal_projector.linear_1."),
    (re.compile(r"^model\.mm_projector\.2\."), "multi_modal_projector.linear_2."),
    (re.compile(r"^model\.(?=embed_tokens|layers|norm)"), "language_model.model."),
    (re.compile(r"^lm_head\."), "language_model.lm_head."),
)
UNUSED = re.compile(r"rotary_emb\.inv_freq$|position_ids$|^model\.image_newline$")
"""Tables that are computed anew, and the row mark of LLaVA-1.6, which LLaVA-1.5 has no use for."""
TEXT_MODELS = {"llava": LlamaConfig, "llava_llama": LlamaConfig, "llava_mistral": MistralConfig}
MISTRAL = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %} {% else %}[INST] {% endif %}"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %} [/INST]{% endif %}{% endfor %}"
)
"""LLaVA's conversation ``mistral_instruct``."""
IMAGE_WITH_MARKS = "<im_start><image><im_end>"
TOWERS = {"clip-vit-large-patch14-336": 336, "clip-vit-large-patch14": 224}
"""OpenAI's CLIP ViT-L/14 by the last part of its name: the pixels of a side."""


def hub_name(name: str) -> str | None:
    """A weight's name in the hub's layout; None for one that is not needed. Raises UsageError for an unknown one."""
    if UNUSED.search(name):
        return None
    for pattern, new in RENAMED:
        if pattern.match(name):
            return pattern.sub(new, name)
    raise UsageError(f"{name} is no weight of LLaVA-1.5 in its own layout; serve this model: openai:NAME@BASE_URL.")


def check(config: Mapping[str, Any], source: str) -> None:
    """Raise UsageError for what is not LLaVA-1.5, or another LLaVA that the hub's ``llava`` cannot express."""
    if not is_original(config):
        raise UsageError(
            f"{source} is not in the layout of LLaVA's own repository (its config.json has no {ORIGINAL_LAYOUT}); a "
            "model that transformers loads needs no import: --model DIR."
        )
    tower = str(config.get(ORIGINAL_LAYOUT))
    wrong = {
        f"model_type {config.get('model_type')}": config.get("model_type") not in TEXT_MODELS,
        f"mm_projector_type {config.get('mm_projector_type')}": config.get("mm_projector_type") != "mlp2x_gelu",
        f"vision tower {tower}": "siglip" in tower.lower() or bool(config.get("s2")),
        f"image_aspect_ratio {config.get('image_aspect_ratio')} (LLaVA-1.6)": (
            str(config.get("image_aspect_ratio")).startswith("anyres")
            or str(config.get("mm_patch_merge_type", "flat")).startswith("spatial")
        ),
    }
    found = ", ".join(name for name, is_wrong in wrong.items() if is_wrong)
    if found:
        raise UsageError(
            f"{source}: import-model converts LLaVA-1.5 (Llama or Mistral, an MLP of two layers, CLIP), not {found}. "
            "Take a release in the hub's layout (llava-hf/...), or serve it: openai:NAME@BASE_URL."
        )


def hub_config(config: Mapping[str, Any], tower: CLIPVisionConfig, image_token: int, rows: int) -> LlavaConfig:
    """The configuration in the hub's layout. ``rows``: of the embeddings, which have grown by the image's token."""
    kind = TEXT_MODELS[str(config["model_type"])]
    known = {*kind().to_dict(), "rope_theta", "rope_scaling"} - {"architectures", "dtype", "model_type", "torch_dtype"}
    text = {name: value for name, value in config.items() if name in known}
    side, patch = (int(size) for size in (tower.image_size, tower.patch_size))  # type: ignore[arg-type]
    patches = (side // patch) ** 2
    whole = config.get("mm_vision_select_feature", "patch") == "cls_patch"
    return LlavaConfig(
        text_config=kind(**{**text, "vocab_size": rows}),
        vision_config=tower,
        image_token_index=image_token,
        image_seq_length=patches + whole,
        vision_feature_layer=int(config.get("mm_vision_select_layer", -2)),
        vision_feature_select_strategy="full" if whole else "default",
        projector_hidden_act="gelu",
        tie_word_embeddings=bool(config.get("tie_word_embeddings", False)),
    )


def template(config: Mapping[str, Any]) -> str:
    """The chat template that asks as LLaVA's own scripts do, without a system message of their own."""
    text = MISTRAL if config["model_type"] == "llava_mistral" else FAMILIES["llava"].fallback_template
    return text.replace("<image>", IMAGE_WITH_MARKS) if config.get("mm_use_im_start_end") else text


def known_tower(name: str) -> CLIPVisionConfig | None:
    """The shapes of the vision tower called ``name``, where they are known without its files."""
    side = TOWERS.get(name.rstrip("/").rpartition("/")[2])
    if side is None:
        return None
    return CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=side,
        patch_size=14,
        projection_dim=768,
    )
