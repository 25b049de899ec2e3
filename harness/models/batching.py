"""How prompts with images are put through a transformers model: two layouts that give the same greedy tokens.

``ImagePrefix``: everything up to the image is computed once per image, and its key-value cache is shared by all
questions about it. ``Padded``: the processor's own batches, for every family whose positions or image tokens do not
allow the former.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from PIL import Image as PilImage
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList

from harness.models.families import family_of
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


@dataclass(frozen=True)
class GenerateOptions:
    """What both layouts hand to ``generate``."""

    config: GenerationConfig
    logits_processor: LogitsProcessorList


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
    """The tokens up to and including the image once per image; its cache is copied to each question about it."""

    name = "image-prefix"

    def __init__(self, model: Any, prompts: Prompts) -> None:
        self._model, self._prompts = model, prompts
        self._image_token: int = model.config.image_token_id

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
        cut = ids.index(self._image_token) + 1 if has_image else 0
        return tuple(ids[:cut]), tuple(ids[cut:])

    def generate(
        self, rows: Sequence[Row], images: Mapping[str, PilImage.Image], options: GenerateOptions
    ) -> torch.Tensor:
        questions, mask = self._left_pad([row.after for row in rows])
        if not rows[0].image:
            return self._continue(questions, mask, None, options)
        names = list(dict.fromkeys(row.image for row in rows))
        prefix, cache = self._prefix(rows[0].before, [images[name] for name in names])
        owners = torch.tensor([names.index(row.image) for row in rows], device=questions.device)
        # generate() repeats the inputs for its beams, but not a cache handed to it
        cache.batch_select_indices(owners.repeat_interleave(options.config.num_beams or 1))
        input_ids = torch.cat([prefix.expand(len(rows), -1), questions], dim=1)
        attended = torch.cat([mask.new_ones(len(rows), prefix.shape[1]), mask], dim=1)
        return self._continue(input_ids, attended, cache, options)

    def _prefix(self, before: tuple[int, ...], images: list[PilImage.Image]) -> tuple[torch.Tensor, DynamicCache]:
        """Ids of the prefix [1, P], the same for all images, and its cache, one row an image."""
        model = self._model
        pixels = self._prompts.processor.image_processor(images, return_tensors="pt")["pixel_values"]
        features = model.get_image_features(pixel_values=pixels.to(model.device, model.dtype), return_dict=True)
        per_image = features.pooler_output[0].shape[0]
        ids = torch.tensor([[*before, *[self._image_token] * (per_image - 1)]], device=model.device)
        cache = DynamicCache(config=model.config.get_text_config())
        model.model(
            input_ids=ids.expand(len(images), -1),
            mm_encoder_outputs={"image": features},
            past_key_values=cache,
            use_cache=True,
        )
        return ids, cache

    def _continue(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache | None, options: GenerateOptions
    ) -> torch.Tensor:
        out = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            generation_config=options.config,
            logits_processor=options.logits_processor,
        )
        return out[:, ids.shape[1] :]  # type: ignore[no-any-return]

    def _left_pad(self, rows: Sequence[tuple[int, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest, pad = max(map(len, rows)), self._prompts.processor.tokenizer.pad_token_id or 0
        ids = [[pad] * (longest - len(row)) + list(row) for row in rows]
        mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
        return torch.tensor(ids, device=self._model.device), torch.tensor(mask, device=self._model.device)


def choose_layout(model: Any, prompts: Prompts) -> Layout:
    """The fastest layout that is exact for the model's family."""
    if family_of(model.config).image_prefix:
        return ImagePrefix(model, prompts)
    return Padded(model, prompts)
