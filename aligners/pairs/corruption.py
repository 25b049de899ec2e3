"""Corrupted copies of images: deterministic in the pair, so that reference log-probabilities of them can be cached.

Named by what an objective needs: ``corrupted:crop`` (mDPO) and ``corrupted:mask`` (PEA-DPO).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from aligners.pairs.data import Pair
from harness.errors import DataError, UsageError
from harness.util.caches import discard
from harness.util.files import read_json, write_text
from harness.util.options import content_key
from harness.util.paths import cache_dir

PREFIX = "corrupted:"
MASKS, MASK_SIDE = 30, 0.3
"""PEA-DPO's 30 masks of 9 % of the area: a square of 30 % of either side."""
MAX_CROPPED = 0.2
GREY = (127, 127, 127)
Embed = Callable[[list[bytes]], Tensor]


class Corruption(Protocol):
    """Maps a pair to its corrupted image; ``identity`` distinguishes ways of corrupting."""

    @property
    def identity(self) -> str: ...

    def __call__(self, pair: Pair) -> Image.Image: ...


class Crop:
    """mDPO (arXiv 2406.11839): a random part of at most 20 % of the area is cropped away (our reading of "0-20 %")."""

    identity = f"crop {MAX_CROPPED}"

    def __call__(self, pair: Pair) -> Image.Image:
        image, draw = pair.open_image(), generator(pair)
        kept = 1 - MAX_CROPPED * float(torch.rand((), generator=draw))
        size = [max(1, round(side * kept**0.5)) for side in image.size]
        left, top = (int(torch.randint(whole - part + 1, (), generator=draw)) for whole, part in _zip(image, size))
        return image.crop((left, top, left + size[0], top + size[1]))


class Mask:
    """PEA-DPO: of 30 random masks of 9 % of the area the one that makes the image least similar to itself by CLIP.

    The choice is made once an image and kept on disk. ``clip`` names the CLIP's weights.
    """

    def __init__(self, clip: str, embed: Embed) -> None:
        self.identity = f"mask {MASKS} {MASK_SIDE} {clip}"
        self._embed, self._folder = embed, cache_dir("corruption") / content_key(self.identity)
        self._folder.mkdir(exist_ok=True)

    def __call__(self, pair: Pair) -> Image.Image:
        image = pair.open_image()
        return masked(image, self._boxes(image, pair)[self._choice(image, pair)])

    def _boxes(self, image: Image.Image, pair: Pair) -> list[tuple[int, int, int, int]]:
        width, height = (max(1, round(side * MASK_SIDE)) for side in image.size)
        draw, boxes = generator(pair), []
        for _ in range(MASKS):
            spots = ((image.width, width), (image.height, height))
            left, top = (int(torch.randint(whole - part + 1, (), generator=draw)) for whole, part in spots)
            boxes.append((left, top, left + width, top + height))
        return boxes

    def _choice(self, image: Image.Image, pair: Pair) -> int:
        file: Path = self._folder / f"{hashlib.sha256(pair.image_bytes()).hexdigest()}.json"
        if (known := _known(file)) is not None:
            return known
        variants = [image, *(masked(image, box) for box in self._boxes(image, pair))]
        features = self._embed([_png(variant) for variant in variants])
        choice = int((features[1:] @ features[0]).argmin())
        write_text(file, json.dumps(choice))
        return choice


def _known(file: Path) -> int | None:
    """The number of the mask that an earlier run chose; a file without one is thrown away."""
    if not file.exists():
        return None
    try:
        choice = read_json(file, "the number of a mask")
        if type(choice) is not int or choice not in range(MASKS):
            raise DataError(f"{choice!r:.40} is no number of a mask")
    except DataError as error:
        discard(file, str(error))
        return None
    return choice


def corruption_for(needs: frozenset[str], clip: str | None, device: Any) -> Corruption | None:
    """The corruption that an objective's ``needs`` name, or None. Raises UsageError for an unknown one."""
    kinds = [need.removeprefix(PREFIX) for need in needs if need.startswith(PREFIX)]
    if not kinds:
        return None
    if kinds == ["crop"]:
        return Crop()
    if kinds != ["mask"]:
        raise UsageError(f"an objective needs the corruptions {kinds}: expected one of crop, mask.")
    if clip is None:
        raise UsageError("corrupted:mask chooses among masks by CLIP: give the CLIP model (clip=...).")
    from aligners.pair_hardness.clip import ClipModel

    model = ClipModel(clip, device)
    return Mask(model.identity, model.embed_images)


def generator(pair: Pair) -> torch.Generator:
    """Seeded by the image's content alone: the same corruption in every run, epoch and method."""
    digest = hashlib.sha256(pair.image_bytes()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def masked(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """``image`` with a grey rectangle."""
    copy = image.copy()
    copy.paste(GREY, box)
    return copy


def _zip(image: Image.Image, size: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(image.size, size, strict=True))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()
