"""What a processor makes of a prompt with its images, by meaning: token ids, inputs of each token, inputs of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

Vision = dict[str, Tensor]
"""What the processor made of images besides tokens (pixel_values, grids)."""
OF_TOKENS = frozenset({"token_type_ids", "mm_token_type_ids", "cross_attention_mask"})
"""Inputs with a place for every token, [1, S] or [1, S, ...]."""


def split_inputs(made: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor], Vision]:
    """Of one prompt: token ids [S], further inputs of its tokens ([S] or [S, ...] each), and inputs of its images."""
    ids: Tensor = made["input_ids"]
    rest = {name: value for name, value in made.items() if name not in {"input_ids", "attention_mask"}}
    marks = {name: value[0] for name, value in rest.items() if name in OF_TOKENS or value.shape == ids.shape}
    return ids[0], marks, {name: value for name, value in rest.items() if name not in marks}


def continued(name: str, mark: Tensor, length: int, response_type: int) -> Tensor:
    """``mark`` [S, ...] of a prompt over ``length`` tokens more, those of a response.

    A response attends to the images that the prompt's last token attends to, and is text; ``response_type`` is its
    ``token_type_ids`` (see ``Family``).
    """
    if name == "cross_attention_mask":
        return mark[-1:].expand(length, *mark.shape[1:])
    return mark.new_full((length, *mark.shape[1:]), response_type if name == "token_type_ids" else 0)


def stack_vision(images: Sequence[Vision]) -> Vision:
    """The inputs of several images along dimension 0; other dimensions (crops an image) are padded with zeros."""
    names = dict.fromkeys(name for image in images for name in image)
    return {name: _concatenate([image[name] for image in images if name in image]) for name in names}


def _concatenate(tensors: Sequence[Tensor]) -> Tensor:
    shape = [max(sizes) for sizes in zip(*(tensor.shape[1:] for tensor in tensors), strict=True)]
    padded = tensors[0].new_zeros(sum(map(len, tensors)), *shape)
    start = 0
    for tensor in tensors:
        padded[(slice(start, start + len(tensor)), *(slice(size) for size in tensor.shape[1:]))] = tensor
        start += len(tensor)
    return padded
