"""The prompt of a conversation and the form of its answer, from the model's own chat template.

One way for training, reference, generation and what checks a server: the conversation is rendered with and without an
answer, and the difference says how an answer begins and ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from PIL import Image as PilImage

from harness.errors import UsageError
from harness.models.families import WRITTEN_AFTER
from harness.models.settings import PromptSettings, other_system
from harness.models.templates import REMEDY, ChatTemplate
from harness.protocols.conversation import Image, Turn
from harness.protocols.conversation import question as ask
from harness.protocols.reasoning import CLOSED_THOUGHT, OPEN_THOUGHT

ANSWER = "@@ANSWER@@"
"""Stands for an answer while a template is rendered; no template changes it."""
SWITCH = "enable_thinking"
"""What templates call the variable that asks for thoughts."""
PLAIN = "What is this?"


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
        processor: of the model; it has a chat template (see ``harness.models.processors``).
        ends: ids of the tokens at which the model's own configuration ends an answer.
        settings: how it is asked: what the user set, else as it was trained.
        note: what a record says of the prompt beside that ("fallback prompt").
        asked: what the user set of ``settings``.
    """

    processor: Any
    ends: frozenset[int] = frozenset()
    settings: PromptSettings = field(default_factory=PromptSettings)
    note: str = ""
    asked: PromptSettings = field(default_factory=PromptSettings)

    def check(self, *, training: bool = False) -> None:
        """Raise UsageError if no image can be asked about with this template, or (``training``) no answer trained.

        Also for what the user sets and this template does not do.
        """
        turns = [ask(PLAIN, Image())]
        template = str(self.processor.chat_template)
        if self.asked.thinking != "auto" and SWITCH not in template and OPEN_THOUGHT not in template:
            raise UsageError(
                f"model.thinking={self.asked.thinking}: this chat template knows no thoughts; leave it out."
            )
        if self.asked.system == "" and (own := self._own_system(turns)):
            raise UsageError(
                f"model.system= (none): this chat template then writes one of its own ({own!r}). Leave it out, give a "
                "text, or give a template without one: --set model.template=FILE."
            )
        if training:
            self.form(turns)
        else:
            self.text(turns)

    def text(self, turns: Sequence[Turn]) -> str:
        """The prompt of ``turns`` up to where the answer begins.

        Raises UsageError for a conversation that the template cannot hold (see ``ChatTemplate.render``).
        """
        said = self._with_system(turns)
        text = self._render(said, add_generation_prompt=True)
        if self.settings.thinking == "off" and _open(text, common_length(text, self._render(said))):
            return self._closed(text, said)
        return text

    def form(self, turns: Sequence[Turn]) -> AnswerForm:
        """How an answer to ``turns`` stands in the template.

        Raises UsageError for a template that writes an answered conversation in another way than it asks.
        """
        prompt, whole = self.text(turns), self._answered(self._with_system(turns))
        before, _, after = whole.partition(ANSWER)
        common = common_length(prompt, before)
        asked, answered = prompt[common:], before[common:]
        end = self._end(turns, after)
        if asked.strip().endswith(CLOSED_THOUGHT) and not answered.strip():
            return AnswerForm(prompt, "", end)  # asked with closed thoughts, which an earlier answer leaves out
        if OPEN_THOUGHT in asked + answered or CLOSED_THOUGHT in answered:
            raise UsageError(
                f"the chat template asks with {prompt[-60:]!r} and writes an answer after {before[-60:]!r}: an answer "
                "would be trained inside or after thoughts that it does not have. Give --set model.thinking=off, to "
                "align and to bench."
            )
        if not asked.strip() and not answered.strip():
            return AnswerForm(prompt, "" if asked else answered, end)  # they differ in white space: as it is asked
        if not asked:
            return AnswerForm(prompt, answered, end)
        raise UsageError(
            f"the chat template asks with {asked!r} and writes an answer after {answered!r}: an answer trained would "
            f"not follow what is asked. {REMEDY}"
        )

    def require_plain(self, *texts: str) -> None:
        """Raise UsageError where a text holds a token that the model reads as an image or as the end of a turn."""
        for text in texts:
            self._template.require_plain(text)

    def asking(self, system: str = "", *, square: bool = False) -> Prompts:
        """As a benchmark's protocol asks: with its system message, with images padded to a square.

        Raises UsageError where the user's own settings say otherwise; that a model was trained otherwise is a warning.
        """
        settings = self.settings
        if system:
            if reason := other_system(self.asked.system, system):
                raise UsageError(reason)
            if settings.system not in (None, system):
                warnings.warn("the benchmark's protocol has another system message: not as trained.", stacklevel=2)
            settings = replace(settings, system=system)
        if square:
            if settings.pad_to_square == "off":
                raise UsageError("the protocol pads images to a square, and model.pad_to_square=off: leave one out.")
            settings = replace(settings, pad_to_square="on")
            require_square(self.processor, "the benchmark's official protocol (protocol=official)")
        return self if settings == self.settings else replace(self, settings=settings)

    def shown(self, image: PilImage.Image) -> PilImage.Image:
        """``image`` as it is handed to the processor: padded to a square where the settings say so."""
        return squared(image, self.processor) if self.settings.pad_to_square == "on" else image

    def inputs(self, texts: Sequence[str], images: Any, **options: Any) -> Any:
        """Token ids, masks and image inputs of prompts made by ``text``, as the processor's BatchFeature.

        ``images``: a list a text of what ``shown`` made, None without any.
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
        turns = [ask(PLAIN)]
        try:
            _, _, after = self._answered(turns).partition(ANSWER)
        except UsageError:  # such a template can be asked, though nothing can be trained with it
            return self.ends
        end = self._end(turns, after).strip()
        return self.ends | {self.processor.tokenizer.encode(end, add_special_tokens=False)[-1]}

    @cached_property
    def _template(self) -> ChatTemplate:
        return ChatTemplate(self.processor)

    def _with_system(self, turns: Sequence[Turn]) -> list[Turn]:
        system = self.settings.system
        given = not system or (turns and turns[0].role == "system")
        return [*turns] if given else [Turn("system", (str(system),)), *turns]

    def _own_system(self, turns: Sequence[Turn]) -> str:
        """What the template writes in the place of a system message where there is none; "" if nothing."""
        try:
            given = self._render([Turn("system", (ANSWER,)), *turns])
        except UsageError:  # it takes none
            return ""
        own = self._render(turns)
        start = common_length(own, given)
        end = common_length(own[start:][::-1], given[start:][::-1])
        return own[start : len(own) - end].strip()

    def _render(self, turns: Sequence[Turn], **options: Any) -> str:
        if self.settings.thinking != "auto" and SWITCH in str(self.processor.chat_template):
            options[SWITCH] = self.settings.thinking == "on"
        return self._template.render(turns, **options)

    def _answered(self, turns: Sequence[Turn]) -> str:
        whole = self._render([*turns, Turn("assistant", (ANSWER,))])
        if ANSWER not in whole:
            raise UsageError(f"the chat template leaves the answer out: {whole[-200:]!r}. {REMEDY}")
        return whole

    def _closed(self, text: str, turns: Sequence[Turn]) -> str:
        """``text``, which ends in open thoughts, with these closed as the template closes empty ones."""
        before = self._answered(turns).partition(ANSWER)[0]
        if before.startswith(text) and CLOSED_THOUGHT in before[len(text) :]:
            return before
        return text.rstrip("\n") + f"\n\n{CLOSED_THOUGHT}\n\n"

    def _end(self, turns: Sequence[Turn], after: str) -> str:
        """The end of a turn: the special token that follows the answer, else what the model ends its answers with.

        Where the template writes nothing, that is the token by which the next turn begins if the model's configuration
        ends answers there (GLM), else the end of the sequence.
        """
        if end := self._special_start(after):
            return end
        tokenizer = self.processor.tokenizer
        try:
            following = self._render([*turns, Turn("assistant", (ANSWER,)), ask(PLAIN)]).partition(ANSWER)[2]
        except UsageError:  # one question and one answer is all that it takes
            following = ""
        end = self._special_start(following)
        if end and tokenizer.convert_tokens_to_ids(end.strip()) in self.ends:
            return end
        return str(tokenizer.eos_token)

    def _special_start(self, text: str) -> str:
        """The special token at the beginning of ``text``, with the white space before it; "" if there is none."""
        closed = text.lstrip()
        known = self.processor.tokenizer.get_added_vocab()
        token = max((token for token in known if closed.startswith(token)), key=len, default="")
        return text[: len(text) - len(closed)] + token if token else ""


def squared(image: PilImage.Image, processor: Any) -> PilImage.Image:
    """``image`` in the middle of a square of the processor's mean colour (LLaVA's ``expand2square``)."""
    if image.width == image.height:
        return image
    side = max(image.size)
    mean = tuple(int(share * 255) for share in processor.image_processor.image_mean)
    square = PilImage.new("RGB", (side, side), mean)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def require_square(processor: Any, what: str) -> None:
    """Raise UsageError where ``what`` pads images to a square for a processor that keeps the whole image anyway."""
    images = processor.image_processor
    if not getattr(images, "do_center_crop", False) or getattr(images, "image_mean", None) is None:
        raise UsageError(
            f"{what} pads images to a square, which is LLaVA-1.5's own way: its processor would cut a square out of "
            f"the middle. {type(images).__name__} does not; leave it out for this model."
        )


def _open(text: str, start: int) -> bool:
    """Whether thoughts are opened and not closed in ``text`` from ``start`` on."""
    return CLOSED_THOUGHT not in text[start:].rpartition(OPEN_THOUGHT)[2] if OPEN_THOUGHT in text[start:] else False


def common_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """How many items (characters of texts) both begin with."""
    length = min(len(first), len(second))
    return next((i for i in range(length) if first[i] != second[i]), length)
