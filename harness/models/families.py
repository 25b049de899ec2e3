"""How model families differ: a row each. A family that is not listed is run the careful way."""

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


@dataclass(frozen=True, kw_only=True)
class Family:
    """What is known of a model type of transformers.

    Args:
        shared_row: training may put both responses behind one prefix in one row under a mask of our own: the attention
            is purely causal over the whole sequence (tested for each such family in float64).
        image_prefix: an image is a fixed run of tokens under one-dimensional positions, so that generation may share
            the key-value cache of everything up to the image between its questions.
        vision: names of the modules that hold the vision tower; frozen unless ``train_vision``.
        language: names of the modules that hold the language model, whose linear layers LoRA adapts.
        fallback_template: the chat template (Jinja) of a processor that has none.
    """

    shared_row: bool = False
    image_prefix: bool = False
    vision: tuple[str, ...] = ("vision_tower", "vision_model", "visual", "image_tower")
    language: tuple[str, ...] = ("language_model",)
    fallback_template: str = VICUNA

    def is_vision(self, parameter: str) -> bool:
        """Whether a parameter of this (dotted) name belongs to the vision tower."""
        return not set(self.vision).isdisjoint(parameter.split(".")[:-1])

    def is_language(self, module: str) -> bool:
        """Whether a module of this (dotted) name is the language model or lies in it."""
        return not set(self.language).isdisjoint(module.split("."))


UNKNOWN = Family()
FAMILIES = {
    "llava": Family(shared_row=True, image_prefix=True),
    "llava_next": Family(shared_row=True),
    "llava_onevision": Family(shared_row=True),
    "qwen2_vl": Family(shared_row=True, fallback_template=CHATML_QWEN),
    "qwen2_5_vl": Family(shared_row=True, fallback_template=CHATML_QWEN),
    "idefics3": Family(shared_row=True, language=("text_model",)),
    "smolvlm": Family(shared_row=True, language=("text_model",)),
}
"""By ``model_type`` of the configuration."""


def family_of(config: Any) -> Family:
    """The family of a model's configuration; ``UNKNOWN`` for a type that has no row."""
    return FAMILIES.get(config.model_type, UNKNOWN)
