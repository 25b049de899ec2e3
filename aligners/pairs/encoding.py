"""From a pair to tokens: the prompt through the processor, both responses after one common prefix."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from aligners.pairs.corruption import Corruption
from aligners.pairs.data import Pair
from harness.errors import DataError
from harness.models.inputs import Vision, split_inputs
from harness.models.prompts import AnswerForm, Prompts
from harness.protocols.conversation import Image as Shown
from harness.protocols.conversation import question
from harness.util.options import content_key


@dataclass(frozen=True)
class Encoded:
    """A pair as token ids: ``prefix`` [P] (with its image tokens), ``chosen`` [C] and ``rejected`` [R] (with EOS).

    ``vision`` is of the image, ``corrupted`` of its corrupted copy (empty where no objective asks for one), ``marks``
    holds further inputs of the prefix's tokens, [P] or [P, ...] each. ``cut``: how many of the two responses lost
    their end to ``max_length``.
    """

    index: int
    id: str
    prefix: Tensor
    chosen: Tensor
    rejected: Tensor
    vision: Vision
    marks: dict[str, Tensor]
    corrupted: Vision = field(default_factory=dict)
    cut: int = 0


class BadPair(DataError):
    """A pair that cannot be put to the model; ``reason`` without what is the pair's own, so that pairs are counted."""

    def __init__(self, pair: Pair, reason: str, detail: str = "") -> None:
        super().__init__(f"pair {pair.id}: {reason}{detail}")
        self.reason = reason


@dataclass
class Encoder:
    """Encodes pairs for one model. ``max_length`` counts prompt, image and one response.

    ``corruption`` makes the image that objectives with a corrupted branch need.
    """

    prompts: Prompts
    max_length: int
    corruption: Corruption | None = None

    @property
    def facts(self) -> list[Any]:
        """What determines the tokens of pairs and the pixels of their images, as far as reference caches know it."""
        processor = self.prompts.processor
        asked = self.prompts.form([question("?", Shown())]).answered("!")
        return [
            type(processor).__name__,
            json.dumps(processor.image_processor.to_dict(), sort_keys=True, default=str),
            hashlib.sha256(json.dumps(processor.tokenizer.get_vocab(), sort_keys=True).encode()).hexdigest(),
            f"{asked} {self.prompts.adds_special_tokens(asked)}",
            self.max_length,
        ]

    @property
    def identity(self) -> list[Any]:
        """``facts``, and the versions and settings on which it depends whether a pair can be encoded at all."""
        return [
            *self.facts,
            str(self.prompts.settings),
            str(self.prompts.processor.chat_template),
            version("transformers"),
        ]

    @property
    def whole_identity(self) -> str:
        """Hash of everything that determines what ``__call__`` gives; "" for a tokenizer that cannot be written out."""
        processor = self.prompts.processor
        written = getattr(processor.tokenizer, "backend_tokenizer", None)
        if written is None:
            return ""
        corruption = self.corruption.identity if self.corruption else ""
        return content_key(self.identity, str(processor), written.to_str(), corruption)

    def possible_workers(self, workers: int) -> int:
        """How many of ``workers`` processes can encode pairs: none where a corruption may have to ask a model, since
        processes that are forked cannot use a GPU."""
        return 0 if self.corruption is not None and self.corruption.uses_model else workers

    def __call__(self, index: int, pair: Pair) -> Encoded:
        """Tokens of ``pair``.

        Raises BadPair where the template, the tokenizer or the processor refuses its texts or its images, a response
        has no tokens, both have the same, or the prompt and one token more exceed ``max_length``.
        """
        form = self.form(pair)
        images = pair.open_images()
        with _named(pair, "its images cannot be put to the model"):
            prompt, marks, vision = self._prompt(form.prompt, images)
        with _named(pair, "its texts cannot be put to the model"):
            responses, shared = self._responses(form, pair)
        prefix = prompt[: len(prompt) - shared]
        room = self.max_length - len(prefix)
        if room < 1:
            raise BadPair(
                pair,
                f"its prompt and image leave no room for a response in max_length={self.max_length} tokens, and image "
                "tokens are never cut. Raise max_length.",
                f" They take {len(prefix)}.",
            )
        chosen, rejected = (response[:room] for response in responses)
        cut = sum(len(response) > room for response in responses)
        if torch.equal(chosen, rejected):
            after = f" after the cut at max_length={self.max_length}. Raise max_length or" if cut else " to this model:"
            raise BadPair(pair, f"chosen and rejected are the same tokens{after} remove the pair.")
        marks = {name: mark[: len(prefix)] for name, mark in marks.items()}
        corrupted = self._corrupted(form.prompt, pair, prompt)
        return Encoded(index, pair.id, prefix, chosen, rejected, vision, marks, corrupted, cut)

    def form(self, pair: Pair) -> AnswerForm:
        """How an answer stands after the pair's prompt. Raises DataError naming a pair whose texts cannot be put so."""
        with _named(pair, "its texts cannot be put to the model"):
            self.prompts.require_plain(pair.prefix, pair.chosen, pair.rejected)
            return self.prompts.form(pair.prompt).begun(pair.prefix, ends=pair.ends)

    def _corrupted(self, text: str, pair: Pair, prompt: Tensor) -> Vision:
        """The corrupted image at the original's size, so that it takes the place of the same image tokens."""
        if self.corruption is None:
            return {}
        first, *others = pair.open_images()
        ids, _, vision = self._prompt(text, [self.corruption(pair).resize(first.size), *others])
        if not torch.equal(ids, prompt):
            raise BadPair(pair, "its corrupted image takes other prompt tokens", f": {len(ids)}, not {len(prompt)}.")
        return vision

    def _prompt(self, text: str, images: list[Image.Image]) -> tuple[Tensor, dict[str, Tensor], Vision]:
        shown = [self.prompts.shown(image) for image in images]
        return split_inputs(self.prompts.inputs([text], [shown] if shown else None))

    def _responses(self, form: AnswerForm, pair: Pair) -> tuple[list[Tensor], int]:
        """Both responses with the end of their turn, and how many tokens at the prompt's end belong to them.

        Each is tokenised after the prompt, since a tokeniser may merge across the seam; what the two token sequences
        have in common with the prompt (and the prefix of the answers) is the common prefix, so it is truly shared.
        """
        processor = self.prompts.processor
        special = self.prompts.adds_special_tokens(form.prompt)
        texts = (form.prompt, *(form.answered(answer) for answer in (pair.chosen, pair.rejected)))
        prompt, chosen, rejected = processor.tokenizer(list(texts), add_special_tokens=special)["input_ids"]
        eos = processor.tokenizer.eos_token_id
        if eos in prompt[-1:]:  # a tokeniser that closes every sequence
            prompt, chosen, rejected = prompt[:-1], chosen[:-1], rejected[:-1]
        common = len(prompt)
        while common and not prompt[:common] == chosen[:common] == rejected[:common]:
            common -= 1
        image_token = getattr(processor, "image_token_id", None)
        if image_token in prompt[common:]:
            raise BadPair(pair, "the prompt's tokens change when a response follows, up to the image's.")
        silent = set(processor.tokenizer.all_special_ids) - {processor.tokenizer.unk_token_id}
        for name, ids in (("chosen", chosen[common:]), ("rejected", rejected[common:])):
            if silent.issuperset(ids):
                raise BadPair(pair, f"{name} has no tokens: the tokenizer drops what it says. Remove the pair.")
        return [torch.tensor(ids[common:]) for ids in (chosen, rejected)], len(prompt) - common


@contextlib.contextmanager
def _named(pair: Pair, what: str) -> Iterator[None]:
    """What the template, the tokenizer or the processor raises, as an error of ``pair``."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # the code of any model
        raise BadPair(pair, f"{what}: {str(error) or type(error).__name__}") from error
