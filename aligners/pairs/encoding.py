"""From a pair to tokens: the prompt through the processor, both responses after one common prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from aligners.pairs.corruption import Corruption
from aligners.pairs.data import Pair
from harness.errors import DataError
from harness.models.prompts import AnswerForm, Prompts

Vision = dict[str, Tensor]
"""What the processor made of an image besides tokens (pixel_values, grids)."""


@dataclass(frozen=True)
class Encoded:
    """A pair as token ids: ``prefix`` [P] (with its image tokens), ``chosen`` [C] and ``rejected`` [R] (with EOS).

    ``vision`` is of the image, ``corrupted`` of its corrupted copy (empty where no objective asks for one), ``marks``
    holds further per-token inputs of the prefix, [P] each (0 for response tokens).
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
        """Tokens of ``pair``. Raises DataError naming it if the prompt and one token more exceed ``max_length``."""
        form = self.prompts.form(pair.prompt).begun(pair.prefix, ends=pair.ends)
        images = pair.open_images()
        prompt, vision, marks = self._prompt(form.prompt, images)
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

    def _corrupted(self, text: str, pair: Pair, prompt: Tensor) -> Vision:
        """The corrupted image at the original's size, so that it takes the place of the same image tokens."""
        if self.corruption is None:
            return {}
        first, *others = pair.open_images()
        ids, vision, _ = self._prompt(text, [self.corruption(pair).resize(first.size), *others])
        if not torch.equal(ids, prompt):
            raise DataError(f"pair {pair.id}: its corrupted image takes {len(ids)} prompt tokens, not {len(prompt)}.")
        return vision

    def _prompt(self, text: str, images: list[Image.Image]) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
        made = dict(self.prompts.inputs([text], [images] if images else None))
        ids = made.pop("input_ids")
        made.pop("attention_mask", None)
        marks = {name: value[0] for name, value in made.items() if value.shape == ids.shape}
        return ids[0], {name: value for name, value in made.items() if name not in marks}, marks

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


def stack_vision(images: Sequence[Vision]) -> Vision:
    """The inputs of several images along dimension 0; other dimensions (crops an image) are padded with zeros."""
    names = dict.fromkeys(name for image in images for name in image)  # a text without images has none
    return {name: _concatenate([image[name] for image in images if name in image]) for name in names}


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    if all(list(tensor.shape[1:]) == shape for tensor in tensors):
        return torch.cat(list(tensors))
    padded = tensors[0].new_zeros(sum(map(len, tensors)), *shape)
    start = 0
    for tensor in tensors:
        padded[(slice(start, start + len(tensor)), *(slice(size) for size in tensor.shape[1:]))] = tensor
        start += len(tensor)
    return padded
