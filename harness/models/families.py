"""How model families differ: a row each. A model of a family that is not listed is run the careful way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

VICUNA = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %} ASSISTANT: "
    "{% elif message['role'] == 'user' %}USER: {% endif %}"
    "{% for item in message['content'] %}{% if item['type'] == 'image' %}{{ '<image>\\n' }}"
    "{% else %}{{ item['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% elif message['role'] == 'system' %} {% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)
"""LLaVA-1.5's prompt: ``USER: <image>\\nQUESTION ASSISTANT:``."""
CHATML_QWEN = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ item['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen-VL's turns, without a system message."""


PALIGEMMA = (
    "{% for message in messages %}{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}<image>{% else %}{{ item['text'] }}{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %}\n{% endif %}{% endfor %}"
)
"""PaliGemma's prompt, ``<image>QUESTION`` and a line's end; its processor puts the BOS between image and question."""
WRITTEN_AFTER = {"PaliGemmaProcessor": "\n"}
"""What a processor writes behind every prompt by itself: a prompt that already ends so is given without it."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is known of a model type of transformers. Paths are of modules, from the model inside its head.

    Args:
        title: the family as people call it.
        models: some of its models on the hub.
        tower: the vision tower; frozen unless ``train_vision``.
        projector: what lies between tower and language model, trained; may lie in the tower.
        language: the language model, whose linear layers LoRA adapts.
        shared_row: both responses in one row behind one prefix are exact for it (tested in float64). Counts only
            where a model cannot be tried at start-up (see ``aligners.pairs.route``).
        image_prefix: the key-value cache of everything up to the image may be shared by all questions about it
            (tested: the tokens of both layouts are the same).
        response_type: ``token_type_ids`` of a response's tokens.
        note: what keeps it from the faster ways, or from being trained in full, for docs/models.md.
        fallback_template: the chat template (Jinja) of a processor that has none; "": it has to be given.
    """

    title: str = ""
    models: tuple[str, ...] = ()
    tower: tuple[str, ...] = ("vision_tower",)
    projector: tuple[str, ...] = ("multi_modal_projector",)
    language: str = "language_model"
    shared_row: bool = False
    image_prefix: bool = False
    response_type: int = 0
    note: str = ""
    fallback_template: str = ""

    def part_of(self, parameter: str) -> str:
        """The part in which a parameter of this (dotted) name lies: projector, tower, language or ""."""
        parts = {"projector": self.projector, "tower": self.tower, "language": (self.language, "lm_head")}
        return next((part for part, paths in parts.items() if any(lies_in(parameter, path) for path in paths)), "")

    def is_vision(self, parameter: str) -> bool:
        """Whether a parameter of this (dotted) name belongs to the vision tower."""
        return self.part_of(parameter) == "tower"


def lies_in(name: str, path: str) -> bool:
    """Whether a (dotted) name is of ``path``, counted from the model inside its head, or of something in it."""
    return f"{name.removeprefix('model.')}.".startswith(f"{path}.")


EXACT: dict[str, Any] = {"shared_row": True, "image_prefix": True}
"""Causal attention over the whole sequence: images before the question need be computed once."""
EXPERTS = "LoRA adapts its attention only; its experts and their router are trained in full fine-tuning"
QWEN: dict[str, Any] = {"tower": ("visual",), "projector": ("visual.merger",), "fallback_template": CHATML_QWEN}
QWEN3: dict[str, Any] = {**QWEN, "projector": ("visual.merger", "visual.deepstack_merger_list")}
GLM: dict[str, Any] = {"tower": ("visual",), "projector": ("visual.merger",)}
IDEFICS: dict[str, Any] = {"tower": ("vision_model",), "projector": ("connector",), "language": "text_model"}
ANYRES: dict[str, Any] = {"projector": ("multi_modal_projector", "image_newline"), "fallback_template": VICUNA}

UNKNOWN = Family()
FAMILIES = {
    "llava": Family(
        title="LLaVA-1.5",
        models=("llava-hf/llava-1.5-7b-hf", "llava-hf/llava-1.5-13b-hf"),
        fallback_template=VICUNA,
        **EXACT,
    ),
    "llava:pixtral": Family(title="Pixtral", models=("mistral-community/pixtral-12b",), **EXACT),
    "llava_next": Family(
        title="LLaVA-NeXT",
        models=("llava-hf/llava-v1.6-mistral-7b-hf", "llava-hf/llama3-llava-next-8b-hf"),
        **ANYRES,
        **EXACT,
    ),
    "llava_onevision": Family(
        title="LLaVA-OneVision", models=("llava-hf/llava-onevision-qwen2-7b-ov-hf",), **ANYRES, **EXACT
    ),
    "vipllava": Family(title="VipLLaVA", models=("llava-hf/vip-llava-7b-hf",), fallback_template=VICUNA, **EXACT),
    "qwen2_vl": Family(title="Qwen2-VL", models=("Qwen/Qwen2-VL-7B-Instruct",), **QWEN, **EXACT),
    "qwen2_5_vl": Family(
        title="Qwen2.5-VL", models=("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"), **QWEN, **EXACT
    ),
    "qwen3_vl": Family(
        title="Qwen3-VL", models=("Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-8B-Thinking"), **QWEN3, **EXACT
    ),
    "qwen3_vl_moe": Family(
        title="Qwen3-VL (MoE)", models=("Qwen/Qwen3-VL-30B-A3B-Instruct",), note=EXPERTS, **QWEN3, **EXACT
    ),
    "qwen3_5": Family(
        title="Qwen3.5", models=("Qwen/Qwen3.5-27B",), note="linear attention, which no mask parts", **QWEN
    ),
    "qwen3_5_moe": Family(
        title="Qwen3.5 (MoE)",
        models=("Qwen/Qwen3.5-35B-A3B",),
        note=f"linear attention, which no mask parts; {EXPERTS}",
        **QWEN,
    ),
    "internvl": Family(title="InternVL (hf)", models=("OpenGVLab/InternVL3-8B-hf",), **EXACT),
    "gemma3": Family(
        title="Gemma-3",
        models=("google/gemma-3-4b-it", "google/gemma-3-12b-it"),
        note="sliding windows, and image tokens that see each other",
    ),
    "paligemma": Family(
        title="PaliGemma",
        models=("google/paligemma2-3b-mix-224",),
        response_type=1,
        note="the tokens of image and question see each other",
        fallback_template=PALIGEMMA,
    ),
    "mistral3": Family(title="Mistral-3", models=("mistralai/Mistral-Small-3.1-24B-Instruct-2503",), **EXACT),
    "glm4v": Family(title="GLM-4V", models=("zai-org/GLM-4.1V-9B-Thinking",), **GLM, **EXACT),
    "glm4v_moe": Family(title="GLM-4V (MoE)", models=("zai-org/GLM-4.5V",), note=EXPERTS, **GLM, **EXACT),
    "aya_vision": Family(title="Aya Vision", models=("CohereLabs/aya-vision-8b",), **EXACT),
    "idefics2": Family(
        title="Idefics2",
        models=("HuggingFaceM4/idefics2-8b",),
        note="its processor may put a space behind the image, with which a question is tokenised together",
        shared_row=True,
        **IDEFICS,
    ),
    "idefics3": Family(
        title="Idefics3",
        models=("HuggingFaceM4/Idefics3-8B-Llama3",),
        fallback_template=VICUNA,
        **IDEFICS,
        **EXACT,
    ),
    "smolvlm": Family(
        title="SmolVLM",
        models=("HuggingFaceTB/SmolVLM-Instruct", "HuggingFaceTB/SmolVLM2-2.2B-Instruct"),
        fallback_template=VICUNA,
        **IDEFICS,
        **EXACT,
    ),
    "mllama": Family(
        title="Mllama",
        models=("meta-llama/Llama-3.2-11B-Vision-Instruct",),
        tower=("vision_model",),
        note="its image is no part of the sequence, but seen by cross-attention",
        shared_row=True,
    ),
    "lfm2_vl": Family(
        title="LFM2-VL", models=("LiquidAI/LFM2-VL-1.6B",), note="convolutions between its layers, which no mask parts"
    ),
}
"""By ``model_type`` of the configuration, or by it and the tower's where the tower makes another family of it."""


def family_of(config: Any) -> Family:
    """The family of a model's configuration; ``UNKNOWN`` for a type that has no row."""
    tower = getattr(getattr(config, "vision_config", None), "model_type", "")
    return FAMILIES.get(f"{config.model_type}:{tower}") or FAMILIES.get(config.model_type, UNKNOWN)
