"""One preference pair: a conversation with images, a chosen and a rejected answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image as PilImage

from harness.errors import DataError
from harness.protocols.conversation import Image, Turn
from harness.protocols.conversation import question as ask
from harness.util.images import open_image, seen

PLAIN = ("id", "chosen", "rejected", "prefix", "ends", "digest")
"""Members that JSON holds as they are."""


@dataclass(frozen=True)
class Pair:
    """One preference: ``chosen`` is preferred to ``rejected`` as the answer to ``prompt``.

    Args:
        prompt: the conversation up to the answer; the last turn is the user's.
        prefix: what both answers begin with: given to the model, not trained on.
        columns: the data's further columns (such as scores).
        ends: whether the answers end where their texts do; else (a sentence inside a longer answer) no end is trained.
        digest: ``content`` where it is known already.
    """

    id: str
    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    prefix: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    ends: bool = True
    digest: str = field(default="", repr=False, compare=False)

    @classmethod
    def about(
        cls,
        image: Path | bytes | None,
        id: str,
        question: str,
        chosen: str,
        rejected: str,
        columns: Mapping[str, Any] | None = None,
    ) -> Pair:
        """A pair of one question about one image (a file or its encoded bytes), or about none."""
        images = () if image is None else (as_image(image),)
        return cls(id, (ask(question, *images),), chosen, rejected, columns=columns or {})

    @property
    def question(self) -> str:
        """The text of the last question."""
        return self.prompt[-1].text

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all turns, in order."""
        return tuple(image for turn in self.prompt for image in turn.images)

    def image_bytes(self) -> bytes:
        """The encoded bytes of its first image. Raises DataError naming the pair if it has none or the file is gone."""
        if not self.images:
            raise DataError(f"pair {self.id}: it has no image.")
        return self._read(self.images[0])

    def open_image(self) -> PilImage.Image:
        """Its first image in RGB. Raises DataError naming the pair if there is none or it cannot be decoded."""
        return self._opened(self.image_bytes())

    def open_images(self) -> list[PilImage.Image]:
        """Its images in RGB. Raises DataError naming the pair if one cannot be decoded."""
        return [self._opened(self._read(image)) for image in self.images]

    def _read(self, image: Image) -> bytes:
        try:
            return image.read()
        except OSError as error:
            raise DataError(f"pair {self.id}: the image {image.path} cannot be read ({error.strerror}).") from error

    def _opened(self, data: bytes) -> PilImage.Image:
        try:
            return open_image(data)
        except ValueError as error:
            raise DataError(f"pair {self.id}: the image cannot be read ({error}).") from error

    @cached_property
    def content(self) -> str:
        """Hash of everything a model sees of the pair: the texts and the images' bytes."""
        if self.digest:
            return self.digest
        texts = [self.question, self.chosen, self.rejected]
        if len(self.prompt) > 1 or self.prefix or len(self.images) > 1 or isinstance(self.prompt[0].content[0], str):
            said = [[part if isinstance(part, str) else 0 for part in turn.content] for turn in self.prompt]
            shape = [[turn.role for turn in self.prompt], said]
            texts += [self.prefix, json.dumps(shape), "" if self.ends else "open"]
        digest = hashlib.sha256(json.dumps(texts).encode())
        for image in self.images:
            digest.update(seen(image.read()))
        return digest.hexdigest()


def as_image(image: Path | bytes) -> Image:
    """An image by its file or its encoded bytes."""
    return Image(data=image) if isinstance(image, bytes) else Image(path=image)


def as_json(pair: Pair) -> dict[str, Any]:
    """``pair`` as ``from_json`` reads it; its images are files."""
    prompt = [
        [turn.role, [part if isinstance(part, str) else {"image": str(part.path)} for part in turn.content]]
        for turn in pair.prompt
    ]
    return {**{name: getattr(pair, name) for name in PLAIN}, "prompt": prompt, "columns": dict(pair.columns)}


def from_json(stored: Mapping[str, Any]) -> Pair:
    """The pair that ``as_json`` wrote."""
    prompt = tuple(
        Turn(role, tuple(part if isinstance(part, str) else Image(path=Path(part["image"])) for part in parts))
        for role, parts in stored["prompt"]
    )
    return Pair(prompt=prompt, columns=stored["columns"], **{name: stored[name] for name in PLAIN})
