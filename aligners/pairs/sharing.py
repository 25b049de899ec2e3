"""Pairs of one image in one row: image -> question -> both responses, a branch a pair. The image is computed once.

Exact like every tree (aligners.pairs.tree): the gradient of a batch is the same. It needs a template that puts the
image before what differs between the prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligners.pairs.encoding import Encoded
from aligners.pairs.tree import Row, Segment


@dataclass
class Group:
    """Pairs, by their numbers in a forward, whose prompts begin with the same ``common`` tokens and images."""

    numbers: list[int]
    common: int


def image_tokens(config: Any) -> Tensor:
    """The ids that stand for images in the prompts of a model; none where its configuration does not say."""
    named = (getattr(config, name, None) for name in ("image_token_id", "image_token_index", "video_token_id"))
    return torch.tensor(sorted({number for number in named if isinstance(number, int)}), dtype=torch.long)


def groups_of(pairs: Sequence[Encoded], images: Tensor) -> list[Group]:
    """``pairs`` in the order of their first, those of the same images together; ``images``: see ``image_tokens``.

    A pair without an image, or with something of it behind what the prompts have in common, is alone.
    """
    groups: list[Group] = []
    for number, pair in enumerate(pairs):
        for group in groups if pair.vision and len(images) else ():
            first = pairs[group.numbers[0]]
            common = min(group.common, _common(first, pair, images))
            if common:
                group.numbers.append(number)
                group.common = common
                break
        else:
            groups.append(Group([number], len(pair.prefix)))
    return groups


def _common(one: Encoded, other: Encoded, images: Tensor) -> int:
    """How many tokens both prompts begin with, if these hold the images and the images are the same; else 0."""
    if not _same(one.vision, other.vision) or one.marks.keys() != other.marks.keys():
        return 0
    shorter = min(len(one.prefix), len(other.prefix))
    differs = one.prefix[:shorter] != other.prefix[:shorter]
    common = int(differs.int().argmax()) if differs.any() else shorter
    behind = torch.cat([one.prefix[common:], other.prefix[common:]])
    if torch.isin(behind, images).any() or not torch.isin(one.prefix[:common], images).any():
        return 0
    return common if all(torch.equal(one.marks[name][:common], other.marks[name][:common]) for name in one.marks) else 0


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        one[name] is other[name] or torch.equal(one[name], other[name]) for name in one
    )


def row_of(pairs: Sequence[Encoded], group: Group) -> Row:
    """The row of a group; the responses of pair n are 2n and 2n + 1."""
    first = pairs[group.numbers[0]]
    segments = [Segment(*_part(first, slice(0, group.common)))]
    for number in group.numbers:
        pair, parent = pairs[number], 0
        if len(pair.prefix) > group.common:
            parent = len(segments)
            tokens, _, marks = _part(pair, slice(group.common, None))
            segments.append(Segment(tokens, 0, marks))
        segments += _responses(pair, number, parent)
    return Row(tuple(segments), first.vision)


def _part(pair: Encoded, tokens: slice) -> tuple[Tensor, int, dict[str, Tensor]]:
    return pair.prefix[tokens], -1, {name: mark[tokens] for name, mark in pair.marks.items()}


def _responses(pair: Encoded, number: int, parent: int) -> Iterator[Segment]:
    for side, tokens in enumerate((pair.chosen, pair.rejected)):
        yield Segment(tokens, parent, response=2 * number + side)
