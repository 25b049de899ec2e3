"""The prompt of a conversation and the form of its answer, from the model's own chat template.

One way for training, reference, generation and what checks a server: the conversation is rendered with and without an
answer, and the difference says how an answer begins and ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.errors import UsageError
from harness.models.families import WRITTEN_AFTER, family_of
from harness.models.settings import PromptSettings
from harness.protocols.conversation import Turn

ANSWER = "@@ANSWER@@"
"""Stands for an answer while a template is rendered; no template changes it."""
OPEN_THOUGHT, CLOSED_THOUGHT = "<think>", "</think>"


@dataclass(frozen=True)
class AnswerForm:
    """How the template continues ``prompt``: ``prompt + lead + ANSWER + end``; ``end`` is what ends the turn."""

    prompt: str
    lead: str
    end: str

    def answered(self, answer: str) -> str:
        """The whole text with ``answer`` in it."""
        return f"{self.prompt}{self.lead}{answer}{self.end}"

    def begun(self, prefix: str, *, ends: bool) -> AnswerForm:
        """The form once ``prefix``, the answer's beginning, is given; without an end where it does not end there."""
        given = (f"{self.prompt}{self.lead}{prefix}", "") if prefix else (self.prompt, self.lead)
        return AnswerForm(*given, self.end if ends else "")


@dataclass(frozen=True)
class Prompts:
    """Prompts and answers of one model.

    Args:
        processor: of the model; it has a chat template (see ``ensure_template``).
        ends: ids of the tokens at which the model's own configuration ends an answer.
    """

    processor: Any
    ends: frozenset[int] = frozenset()
    settings: PromptSettings = field(default_factory=PromptSettings)

    def text(self, turns: Sequence[Turn]) -> str:
        """The prompt of ``turns`` up to where the answer begins."""
        text = self._render(turns, add_generation_prompt=True)
        open_thought = text.rpartition(OPEN_THOUGHT)[2] if OPEN_THOUGHT in text else CLOSED_THOUGHT
        if self.settings.thinking == "off" and CLOSED_THOUGHT not in open_thought:
            text = text.rstrip("\n") + f"\n\n{CLOSED_THOUGHT}\n\n"
        return text

    def form(self, turns: Sequence[Turn]) -> AnswerForm:
        """How an answer to ``turns`` stands in the template.

        Raises UsageError for a template that writes an answered conversation in another way than it asks.
        """
        prompt = self.text(turns)
        whole = self._render([*turns, Turn("assistant", (ANSWER,))])
        before, mark, after = whole.partition(ANSWER)
        if not mark:
            raise UsageError(f"the chat template leaves the answer out: {whole[-200:]!r}. {REMEDY}")
        common = common_length(prompt, before)
        asked, answered = prompt[common:], before[common:]
        if not asked:
            return AnswerForm(prompt, answered, self._end(after))
        if asked.strip().endswith(CLOSED_THOUGHT) and not answered.strip():
            return AnswerForm(prompt, "", self._end(after))  # asked with closed thoughts, which a past turn leaves out
        if OPEN_THOUGHT in asked and CLOSED_THOUGHT not in asked:
            raise UsageError(
                f"the chat template ends the prompt in open thoughts ({prompt[-60:]!r}), in which an answer would be "
                "trained. Give --set model.thinking=off, to align and to bench."
            )
        raise UsageError(
            f"the chat template asks with {asked!r} and writes an answer after {answered!r}: an answer trained would "
            f"not follow what is asked. {REMEDY}"
        )

    def inputs(self, texts: Sequence[str], images: Any, **options: Any) -> Any:
        """Token ids, masks and image inputs of prompts made by ``text``, as the processor's BatchFeature.

        ``images``: a list a text, None without any.
        """
        if not self.adds_special_tokens(texts[0]):
            options["add_special_tokens"] = False
        given = [text.removesuffix(WRITTEN_AFTER.get(type(self.processor).__name__, "")) for text in texts]
        made = self.processor(text=given, images=images, return_tensors="pt", **options)
        made.pop("labels", None)  # PaliGemma's, for a training of its own
        return made

    def adds_special_tokens(self, text: str) -> bool:
        """Whether the tokeniser still has to add its special tokens: not to a prompt whose template wrote the BOS."""
        bos = self.processor.tokenizer.bos_token
        return bos is None or not text.startswith(bos)

    @cached_property
    def stops(self) -> frozenset[int]:
        """Ids at which generation stops: the configured ones, and the one that ends a turn in the template."""
        try:
            end = self.form([Turn("user", ("?",))]).end
        except UsageError:  # such a template can be asked, though nothing can be trained with it
            return self.ends
        return self.ends | {self.processor.tokenizer.encode(end.strip(), add_special_tokens=False)[-1]}

    def _render(self, turns: Sequence[Turn], **options: Any) -> str:
        if self.settings.thinking != "auto":
            options["enable_thinking"] = self.settings.thinking == "on"
        return str(self.processor.apply_chat_template(messages(turns), tokenize=False, **options))

    def _end(self, after: str) -> str:
        """The end of a turn: the special token that follows the answer, else the end of the sequence."""
        tokenizer = self.processor.tokenizer
        closed = after.lstrip()
        token = max((t for t in tokenizer.get_added_vocab() if closed.startswith(t)), key=len, default=None)
        return str(tokenizer.eos_token) if token is None else after[: len(after) - len(closed)] + str(token)


REMEDY = "Give another one with --set model.template=FILE."


def ensure_template(processor: Any, config: Any) -> bool:
    """Give a processor without a chat template its family's; True if that was needed.

    Training and generation both load through here, so that a model without a template is asked what it was trained on.
    """
    if getattr(processor, "chat_template", None) is not None:
        return False
    template = family_of(config).fallback_template
    if not template:
        raise UsageError(f"a model of type {config.model_type} whose processor has no chat template. {REMEDY}")
    processor.chat_template = template
    return True


def messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Turns as a chat template reads them."""
    return [
        {
            "role": turn.role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in turn.content
            ],
        }
        for turn in turns
    ]


def common_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many items (characters of texts) both begin with."""
    length = min(len(first), len(second))
    return next((i for i in range(length) if first[i] != second[i]), length)
