"""The prompt of a question about an image: one way for training, reference and generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.models.families import family_of


def ensure_template(processor: Any, config: Any) -> bool:
    """Give a processor without a chat template its family's; True if that was needed.

    Training and generation both load through here, so that a model without a template is asked what it was trained on.
    """
    if getattr(processor, "chat_template", None) is not None:
        return False
    processor.chat_template = family_of(config).fallback_template
    return True


def conversation(question: str, image: Any = None) -> list[dict[str, Any]]:
    """A user's turn for a chat template; ``image`` may be True, for the placeholder alone."""
    picture = [] if image is None else [{"type": "image"} if image is True else {"type": "image", "image": image}]
    return [{"role": "user", "content": [*picture, {"type": "text", "text": question}]}]


def prompt_text(processor: Any, question: str, *, image: bool = True) -> str:
    """The prompt for a question, about one image unless ``image`` is false, up to where the response begins."""
    turn = conversation(question, True if image else None)
    return str(processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))


def adds_special_tokens(processor: Any, text: str) -> bool:
    """Whether the tokeniser still has to add its special tokens: not to a prompt whose template wrote the BOS."""
    bos = processor.tokenizer.bos_token
    return bos is None or not text.startswith(bos)


def processor_inputs(processor: Any, texts: Sequence[str], images: Any, **options: Any) -> Any:
    """Token ids, masks and image inputs of prompts made by ``prompt_text``, as the processor's BatchFeature.

    ``images`` is what the processor takes beside ``texts`` (a list an image or a list a text), None without any.
    """
    if not adds_special_tokens(processor, texts[0]):
        options["add_special_tokens"] = False
    return processor(text=list(texts), images=images, return_tensors="pt", **options)
