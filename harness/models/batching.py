"""How prompts with images are put through a transformers model: two layouts that give the same greedy tokens.

``ImagePrefix``: everything up to the image is computed once per image, and its key-value cache is shared by all
questions about it. ``Padded``: the processor's own batches, for every family whose positions or image tokens do not
allow the former.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image as PilImage
from torch.nn.functional import pad
from transformers import DynamicCache

from harness.models.families import family_of
from harness.models.generation import GenerateOptions, generate
from harness.models.inputs import Vision, split_inputs, stack_vision
from harness.models.prompts import Prompts


@dataclass(frozen=True)
class Row:
    """One prompt to answer: its text as the template renders it.

    ``image`` identifies its image ("" without one); ``before`` and ``after`` are the token ids around the image token,
    where the layout splits there. Rows go together only with the same ``before``.
    """

    position: int
    prompt: str
    image: str
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


Parted = tuple[torch.Tensor | None, dict[str, torch.Tensor], Vision]
"""A prompt up to its image: token ids [P], further inputs of these tokens, inputs of the image."""


KEPT = 64 * 2**20
"""Bytes of inputs that a layout keeps: at every point of a coverage curve the same is asked about the same images."""


class KeptInputs:
    """What the processor made of prompts and their images, up to ``limit`` bytes; the first that fit stay."""

    def __init__(self, limit: int = KEPT) -> None:
        self._room = limit
        self._parted: dict[tuple[str, str, bytes], Parted] = {}

    def __call__(self, row: Row, image: PilImage.Image, make: Callable[[Row, PilImage.Image], Parted]) -> Parted:
        """What ``make`` gives, or gave for such a prompt with the same pixels."""
        pixels = hashlib.sha256(image.tobytes()).digest()
        key = (row.prompt, f"{image.mode} {image.size}", pixels)
        if key in self._parted:
            return self._parted[key]
        made = make(row, image)
        ids, marks, vision = made
        tensors = [*marks.values(), *vision.values(), *([] if ids is None else [ids])]
        size = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
        if size <= self._room:
            self._room -= size
            self._parted[key] = made
        return made


class Layout(Protocol):
    """A way to put rows through the model."""

    name: str

    def rows(self, prompts: Sequence[tuple[str, str]]) -> list[Row]:
        """Rows of (rendered prompt, image identity or "") pairs, in order."""
        ...

    def generate(
        self, rows: Sequence[Row], images: Mapping[str, PilImage.Image], options: GenerateOptions
    ) -> torch.Tensor:
        """The new token ids, one line a row."""
        ...


class Padded:
    """Left-padded batches made by the processor; every row carries its image."""

    name = "padded"

    def __init__(self, model: Any, prompts: Prompts) -> None:
        self._model, self._prompts = model, prompts

    def rows(self, prompts: Sequence[tuple[str, str]]) -> list[Row]:
        # processors do not take rows with and without an image in one batch: ``before`` keeps them apart
        return [Row(i, prompt, image, before=(bool(image),)) for i, (prompt, image) in enumerate(prompts)]

    def generate(
        self, rows: Sequence[Row], images: Mapping[str, PilImage.Image], options: GenerateOptions
    ) -> torch.Tensor:
        pictures = [[images[row.image]] for row in rows] if rows[0].image else None
        inputs = self._prompts.inputs([row.prompt for row in rows], pictures, padding=True)
        inputs = inputs.to(self._model.device, dtype=self._model.dtype)
        out = self._model.generate(
            **inputs, generation_config=options.config, logits_processor=options.logits_processor
        )
        return out[:, inputs["input_ids"].shape[1] :]  # type: ignore[no-any-return]


class ImagePrefix:
    """The tokens up to and including the image once per image; its cache is copied to each question about it.

    Rows whose prompt does not part there (see ``_parted``) go through ``Padded``, which answers the same.
    """

    name = "image-prefix"

    def __init__(self, model: Any, prompts: Prompts) -> None:
        self._model, self._prompts, self._padded = model, prompts, Padded(model, prompts)
        self._kept = KeptInputs()
        tokenizer = prompts.processor.tokenizer
        self._image_token: int = tokenizer.convert_tokens_to_ids(prompts.processor.image_token)
        self._atoms = frozenset(tokenizer.added_tokens_decoder)
        self._window: int | None = getattr(model.config.get_text_config(), "sliding_window", None)

    def rows(self, prompts: Sequence[tuple[str, str]]) -> list[Row]:
        if not prompts:
            return []
        texts = [prompt for prompt, _ in prompts]
        special = self._prompts.adds_special_tokens(texts[0])
        encoded = self._prompts.processor.tokenizer(texts, add_special_tokens=special)["input_ids"]
        return [
            Row(i, prompt, image, *self._split(ids, bool(image)))
            for i, ((prompt, image), ids) in enumerate(zip(prompts, encoded, strict=True))
        ]

    def _split(self, ids: list[int], has_image: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
        # split on token ids, not on text: the pieces are then tokenised exactly as the whole prompt is
        if has_image and ids.count(self._image_token) != 1:
            return tuple(ids), ()  # nothing to split at: see ``generate``
        cut = ids.index(self._image_token) + 1 if has_image else 0
        return tuple(ids[:cut]), tuple(ids[cut:])

    def generate(
        self, rows: Sequence[Row], images: Mapping[str, PilImage.Image], options: GenerateOptions
    ) -> torch.Tensor:
        if not all(row.after for row in rows):
            return self._padded.generate(rows, images, options)
        questions, mask = self._left_pad([row.after for row in rows])
        if not rows[0].image:
            return generate(self._model, questions, mask, None, options)
        first = {row.image: row for row in reversed(rows)}
        parted = [self._kept(row, images[name], self._parted) for name, row in first.items()]
        longest = max((len(ids) for ids, _, _ in parted if ids is not None), default=0)
        room = self._window or math.inf
        if any(ids is None for ids, _, _ in parted) or longest + questions.shape[1] + _new(options) > room:
            return self._padded.generate(rows, images, options)
        names = list(first)
        owners = torch.tensor([names.index(row.image) for row in rows], device=questions.device)
        prefix, prefix_mask, cache = self._prefix(parted, owners)
        # generate() repeats the inputs for its beams, but no cache handed to it; its layers may lie on several devices
        cache.batch_select_indices(owners.repeat_interleave(options.config.num_beams or 1).cpu())
        input_ids = torch.cat([prefix[owners], questions], dim=1)
        attended = torch.cat([prefix_mask[owners], mask], dim=1)
        return generate(self._model, input_ids, attended, cache, options)

    def _parted(self, row: Row, image: PilImage.Image) -> Parted:
        """Ids of the prompt up to and including the image, and the inputs of its tokens and of the image.

        The ids are None where the prompt does not part behind the image's last token: where the processor changes what
        follows, or ends the image with a text, with which a question might be tokenised together.
        """
        made = self._prompts.inputs([row.prompt], [[image]]).to(self._model.device, dtype=self._model.dtype)
        ids, marks, vision = split_inputs(made)
        end = len(ids) - len(row.after)
        if tuple(ids[end:].tolist()) != row.after or int(ids[end - 1]) not in self._atoms:
            return None, marks, vision
        return ids[:end], {name: mark[:end] for name, mark in marks.items()}, vision

    def _prefix(
        self, parted: Sequence[Parted], owners: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, DynamicCache]:
        """Ids of the prefixes and their mask [images, P], padded on the left, and their cache."""
        model = self._model
        ids, mask = self._left_pad([tuple(ids.tolist()) for ids, _, _ in parted if ids is not None])
        marks = {
            name: torch.stack([pad(marks[name], (ids.shape[1] - len(marks[name]), 0)) for _, marks, _ in parted])
            for name in parted[0][1]
        }
        cache = DynamicCache(config=model.config.get_text_config())
        rotary = getattr(model.model, "get_rope_index", None)  # makes positions of three dimensions from the grids
        if rotary is None:
            marks["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        vision = stack_vision([vision for _, _, vision in parted])
        model.model(input_ids=ids, attention_mask=mask, **marks, **vision, past_key_values=cache, use_cache=True)
        if rotary is not None:  # by how much the positions that follow are shorter than the tokens before them
            model.model.rope_deltas = model.model.rope_deltas[owners]
        return ids, mask, cache

    def _left_pad(self, rows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest, filler = max(map(len, rows)), self._prompts.processor.tokenizer.pad_token_id or 0
        ids = [[filler] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=self._model.device), torch.tensor(mask, device=self._model.device)


def _new(options: GenerateOptions) -> int:
    return int(options.config.max_new_tokens or 0)


def choose_layout(model: Any, prompts: Prompts) -> Layout:
    """The fastest layout that is exact for the model's family."""
    if family_of(model.config).image_prefix:
        return ImagePrefix(model, prompts)
    return Padded(model, prompts)
