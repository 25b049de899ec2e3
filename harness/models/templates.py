"""Rendering a conversation with a model's chat template, and the check that nothing of it was lost or added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from jinja2 import TemplateError

from harness.errors import UsageError
from harness.protocols.conversation import Turn

REMEDY = "Give another one with --set model.template=FILE."
PLACEHOLDERS = ("image_token", "video_token", "audio_token", "boi_token")
"""Attributes of processors that name the tokens which stand for images, videos and sounds in a text."""
DATE = "2026-01-01"
"""What a template that writes the current date into its prompt gets: the prompt of today is that of tomorrow."""
NOW = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
BRACKETS = (("<|vision_start|>", "<|vision_end|>"), ("<|begin_of_image|>", "<|end_of_image|>"))
"""Tokens that Qwen's and GLM's templates put around an image; other families' processors add theirs."""
REPRESENTATION = "{'type':"
"""What a template writes that takes a list of parts for a text."""
CANNOT_RENDER = (TemplateError, TypeError, ValueError, AttributeError, KeyError, IndexError)
"""What a template raises for roles that it refuses and for contents of a form that it does not expect."""


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of ``processor``.

    It is given to the processor as ``chat_template``, read at every call.
    """

    processor: Any

    def render(self, turns: Sequence[Turn], **options: Any) -> str:
        """The text of ``turns``.

        Raises UsageError where a text holds a token that means something else (an image, the end of a turn), and where
        the template refuses the conversation or leaves a text or an image of it out.
        """
        for text in (part for turn in turns for part in turn.content if isinstance(part, str)):
            self.require_plain(text)
        faults: list[str] = []
        for write in (self.in_parts, self.parts_of_user, self.in_text):
            try:
                text = str(self._apply([write(turn) for turn in turns], options))
            except CANNOT_RENDER as error:
                faults.append(f"refuses this conversation ({' '.join(str(error).split())})")
                continue
            if REPRESENTATION in text:
                faults.append("takes the parts of a turn for a text")
                continue
            if fault := self._fault(turns, text):
                faults.insert(0, fault)
                break
            return text
        raise UsageError(f"the chat template {faults[0]}. {REMEDY}")

    def require_plain(self, text: str) -> None:
        """Raise UsageError where ``text`` holds a token that means something else: an image, the end of a turn."""
        if found := next((token for token in self._special if token in text), None):
            what = "an image or video" if found in self.placeholders else "a control token"
            raise UsageError(
                f"the text {_around(text, found)!r} holds {found}, which this model reads as {what}. Take it out of "
                "the text."
            )

    @staticmethod
    def in_parts(turn: Turn) -> dict[str, Any]:
        """A turn as a list of texts and images, as the templates of multimodal models take it."""
        parts = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in turn.content
        ]
        return {"role": turn.role, "content": parts}

    def parts_of_user(self, turn: Turn) -> dict[str, Any]:
        """Only what the user says as a list."""
        return self.in_parts(turn) if turn.role == "user" else {"role": turn.role, "content": turn.text}

    def in_text(self, turn: Turn) -> dict[str, Any]:
        """A turn as one string, its images as the model's own tokens, on lines of their own (as vLLM writes them)."""
        parts = [part if isinstance(part, str) else image_text(self.processor) for part in turn.content]
        return {"role": turn.role, "content": "\n".join(parts) if turn.images else turn.text}

    @cached_property
    def placeholders(self) -> frozenset[str]:
        """Tokens that the processor takes for an image, a video or a sound."""
        return frozenset(
            token for name in PLACEHOLDERS if isinstance(token := getattr(self.processor, name, None), str) and token
        )

    @cached_property
    def _special(self) -> tuple[str, ...]:
        """Texts that the tokeniser reads as one token with a meaning of its own."""
        added = self.processor.tokenizer.added_tokens_decoder.values()
        return tuple(sorted(self.placeholders | {str(token) for token in added if token.special}))

    def _fault(self, turns: Sequence[Turn], text: str) -> str:
        """What ``text`` has not of ``turns``; "" if nothing."""
        for turn in turns:
            lost = [part for part in turn.content if isinstance(part, str) and part.strip() not in text]
            if lost and turn.role != "assistant":  # thoughts of earlier answers are left out on purpose
                return f"leaves out what the {turn.role} says: {lost[0][:60]!r}"
        wanted, token = sum(len(turn.images) for turn in turns), getattr(self.processor, "image_token", None)
        if token and text.count(token) != wanted:
            return f"writes {token} {text.count(token)} times for {wanted} images"
        return ""

    def _apply(self, messages: list[dict[str, Any]], options: dict[str, Any]) -> Any:
        given = self.processor.chat_template
        template = dated(given["default"] if isinstance(given, dict) else given)
        return self.processor.apply_chat_template(messages, chat_template=template, tokenize=False, **options)


def image_text(processor: Any) -> str:
    """How an image is written in a text: the processor's token, in the family's brackets; "" if it has none."""
    token = getattr(processor, "image_token", None)
    if not token:
        return ""
    known = processor.tokenizer.get_added_vocab()
    start, end = next((pair for pair in BRACKETS if pair[0] in known), ("", ""))
    return f"{start}{token}{end}"


def dated(template: str) -> str:
    """``template`` with ``DATE`` where it would write the current one."""
    return NOW.sub(lambda call: repr(date.fromisoformat(DATE).strftime(call[2])), template)


def _around(text: str, found: str) -> str:
    place = text.index(found)
    return text[max(0, place - 30) : place + len(found) + 30]
