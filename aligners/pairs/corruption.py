"""Corrupted copies of images: deterministic in the pair, so that reference log-probabilities of them can be cached.

Named by what an objective needs: ``corrupted:crop`` (mDPO) and ``corrupted:mask`` (PEA-DPO).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
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
VERSION = 2
"""Of what an objective gets that has no settings of its own for it, as those of other packages may not: part of the key
of its runs. Raise it when that changes. In version 1 the mask was grey, and the crop cut off at most a fifth.
"""
MASKS, MASK_SIDE = 30, 0.3
"""PEA-DPO's 30 masks of 9 % of the area: a rectangle of 30 % of either side."""
CROP = (0.01, 0.2)
"""The share of an image's area that mDPO's crop keeps, as the authors' code draws it: of 1 to 20 %."""
WIDEST = 4 / 3
"""The crop's sides are to each other as 3 to 4 at the narrowest, as 4 to 3 at the widest."""
BLACK = (0, 0, 0)
"""The masks' colour in the authors' code."""
Embed = Callable[[list[bytes]], Tensor]


class Corruption(Protocol):
    """Maps a pair to its corrupted image; ``identity`` distinguishes ways of corrupting.

    ``uses_model``: whether a model may have to be asked, which processes that are forked cannot.
    """

    @property
    def identity(self) -> str: ...
    @property
    def uses_model(self) -> bool: ...

    def __call__(self, pair: Pair) -> Image.Image: ...


class Crop:
    """mDPO (arXiv 2406.11839): a random part of the image, which keeps 1 to 20 % of its area, enlarged to its size.

    As the authors' code draws it, which is torchvision's RandomResizedCrop(scale=(0.01, 0.2)). Theirs is drawn anew in
    every forward pass and from the padded square; ours once a pair, so that its reference can be cached, and from the
    image. ``least`` and ``most`` are shares of the area.
    """

    uses_model = False

    def __init__(self, least: float = CROP[0], most: float = CROP[1]) -> None:
        self._least, self._most = least, most
        self.identity = f"crop keeps {least:g} to {most:g} of the area, aspect 3/4 to 4/3, drawn by the pair"

    def __call__(self, pair: Pair) -> Image.Image:
        image = pair.open_image()
        return image.crop(self.box(image.size, generator(pair.content))).resize(image.size, Image.Resampling.BILINEAR)

    def box(self, size: tuple[int, int], draw: torch.Generator) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the part of an image of ``size`` that is kept, in pixels."""
        area = size[0] * size[1] * _uniform(self._least, self._most, draw)
        aspect = math.exp(_uniform(-math.log(WIDEST), math.log(WIDEST), draw))
        sides = (math.sqrt(area * aspect), math.sqrt(area / aspect))
        width, height = (min(max(1, round(side)), whole) for side, whole in zip(sides, size, strict=True))
        top, left = _place(size[1] - height, draw), _place(size[0] - width, draw)
        return left, top, left + width, top + height


class Mask:
    """PEA-DPO: of 30 random masks of 9 % of the area the one that makes the image least similar to itself by CLIP.

    The choice is made once an image and kept on disk. ``clip`` names the CLIP's weights, ``side`` is a mask's share of
    either side of the image.
    """

    uses_model = True

    def __init__(self, clip: str, embed: Embed, side: float = MASK_SIDE) -> None:
        self.identity = f"black mask {MASKS} {side:g} {clip}"
        self._side = side
        self._embed, self._folder = embed, cache_dir("corruption") / content_key(self.identity)
        self._folder.mkdir(exist_ok=True)

    def __call__(self, pair: Pair) -> Image.Image:
        image = pair.open_image()
        return masked(image, self._boxes(image, pair)[self._choice(image, pair)])

    def _boxes(self, image: Image.Image, pair: Pair) -> list[tuple[int, int, int, int]]:
        width, height = (max(1, round(side * self._side)) for side in image.size)
        # By the image alone, as the choice among them is kept.
        draw, boxes = generator(hashlib.sha256(pair.image_bytes()).hexdigest()), []
        for _ in range(MASKS):
            left, top = _place(image.width - width, draw), _place(image.height - height, draw)
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


def kinds_of(needs: frozenset[str]) -> list[str]:
    """The corruptions that an objective's ``needs`` name."""
    return [need.removeprefix(PREFIX) for need in needs if need.startswith(PREFIX)]


def corruption_for(
    needs: frozenset[str], settings: Mapping[str, float], clip: str | None, device: Any
) -> Corruption | None:
    """The corruption that an objective's ``needs`` name, or None; ``settings`` say how it is made.

    Raises UsageError for an unknown one.
    """
    kinds = kinds_of(needs)
    if not kinds:
        return None
    if kinds == ["crop"]:
        return Crop(**settings)
    if kinds != ["mask"]:
        raise UsageError(f"an objective needs the corruptions {kinds}: expected one of crop, mask.")
    if clip is None:
        raise UsageError("corrupted:mask chooses among masks by CLIP: give the CLIP model (clip=...).")
    from aligners.pair_hardness.clip import ClipModel

    model = ClipModel(clip, device)
    return Mask(model.identity, model.embed_images, **settings)


def generator(digest: str) -> torch.Generator:
    """Seeded by a sha256: the same corruption in every run, epoch and method."""
    return torch.Generator().manual_seed(int(digest[:16], 16) >> 1)


def masked(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """``image`` with a black rectangle."""
    copy = image.copy()
    copy.paste(BLACK, box)
    return copy


def _uniform(low: float, high: float, draw: torch.Generator) -> float:
    return torch.empty(1).uniform_(low, high, generator=draw).item()


def _place(room: int, draw: torch.Generator) -> int:
    """Where a part begins that leaves ``room`` pixels."""
    return int(torch.randint(room + 1, (1,), generator=draw))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()
