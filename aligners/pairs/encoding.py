"""From a pair to tokens: the prompt through the processor, both responses after one common prefix."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from aligners.pairs.corruption import Corruption
from aligners.pairs.data import Pair
from harness.errors import DataError, UsageError
from harness.models.inputs import Vision, split_inputs
from harness.models.prompts import AnswerForm, Prompts


@dataclass(frozen=True)
class Encoded:
    """A pair as token ids: ``prefix`` [P] (with its image tokens), ``chosen`` [C] and ``rejected`` [R] (with EOS).

    ``vision`` is of the image, ``corrupted`` of its corrupted copy (empty where no objective asks for one), ``marks``
    holds further inputs of the prefix's tokens, [P] or [P, ...] each.
    """

    index: int
    id: str
    prefix: Tensor
    chosen: Tensor
    rejected: Tensor
    vision: Vision
    marks: dict[str, Tensor]
    corrupted: Vision = field(default_factory=dict)


@dataclass
class Encoder:
    """Encodes pairs for one model. ``max_length`` counts prompt, image and one response.

    ``corruption`` makes the image that objectives with a corrupted branch need.
    """

    prompts: Prompts
    max_length: int
    corruption: Corruption | None = None

    def __call__(self, index: int, pair: Pair) -> Encoded:
        """Tokens of ``pair``.

        Raises DataError naming it where the template or the processor refuses its texts or its images, and if the
        prompt and one token more exceed ``max_length``.
        """
        form = self.form(pair)
        images = pair.open_images()
        with _named(pair, "its images cannot be put to the model"):
            prompt, marks, vision = self._prompt(form.prompt, images)
        responses, cut = self._responses(form, pair)
        prefix = prompt[: len(prompt) - cut]
        room = self.max_length - len(prefix)
        if room < 1:
            raise DataError(
                f"pair {pair.id}: its prompt and image take {len(prefix)} of max_length={self.max_length} tokens, "
                "which would cut image tokens or leave no room for a response. Raise max_length."
            )
        chosen, rejected = (response[:room] for response in responses)
        if torch.equal(chosen, rejected):
            raise DataError(
                f"pair {pair.id}: chosen and rejected are the same tokens after the cut at max_length={self.max_length}"
                ". Raise max_length or remove the pair."
            )
        marks = {name: mark[: len(prefix)] for name, mark in marks.items()}
        return Encoded(
            index, pair.id, prefix, chosen, rejected, vision, marks, self._corrupted(form.prompt, pair, prompt)
        )

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
            raise DataError(f"pair {pair.id}: its corrupted image takes {len(ids)} prompt tokens, not {len(prompt)}.")
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
            raise DataError(f"pair {pair.id}: the prompt's tokens change when a response follows, up to the image's.")
        return [torch.tensor(ids[common:]) for ids in (chosen, rejected)], len(prompt) - common


@contextlib.contextmanager
def _named(pair: Pair, what: str) -> Iterator[None]:
    """What the template or the processor raises, as an error of ``pair``."""
    try:
        yield
    except DataError:
        raise
    except (UsageError, ValueError, TypeError, IndexError) as error:
        raise DataError(f"pair {pair.id}: {what}: {error}") from error
