"""What is said to a model: turns of text and images, as benchmarks, preference pairs and endpoints all have them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["system", "user", "assistant"]
MARK = "<image>"
"""Where an image stands in a text of LLaVA's and TRL's data."""
OTHER_MARK = re.compile(
    rf"(?!(?-i:{MARK}))(?:<img>[^<]*</img>|<\s?/?(?:images?|img)\s?/?>|\[<IMG_PLH>\]|<(?:video|audio)>|"
    r"<(?:image|img)[ _-]?(?:\d+|here|placeholder|token|soft_token|pad|patch|start|end|context)>|"
    r"<(?:start|end)_of_image>|<im_(?:start|end|patch)>|"
    r"<\|(?:image|img|video|audio)(?:_?(?:pad|start|end|\d+))?\|>|<\|(?:vision|media)_(?:start|end|pad)\|>|\[IMG\]|"
    r"<fake_token_around_image>)",
    re.IGNORECASE,
)
"""Places of images, videos and sounds as other data and models mark them, which a model would read as text."""


@dataclass(frozen=True)
class Image:
    """An image by file or by its encoded bytes; opened only by what looks at it."""

    path: Path | None = None
    data: bytes | None = None

    def read(self) -> bytes:
        """The encoded bytes (JPEG, PNG...); a missing file raises FileNotFoundError."""
        if self.data is not None:
            return self.data
        if self.path is None:
            raise FileNotFoundError("this sample has no image")
        return self.path.read_bytes()


@dataclass(frozen=True)
class Turn:
    """One turn: texts and images in the order in which the model sees them."""

    role: Role
    content: tuple[str | Image, ...]

    @property
    def text(self) -> str:
        """Its texts, without the images."""
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        """Its images in order."""
        return tuple(part for part in self.content if isinstance(part, Image))


def question(text: str, *images: Image) -> Turn:
    """A user's turn about ``images``, which come before the text unless it marks their places (``<image>``)."""
    return Turn("user", marked(text, images))


def marked(text: str, images: Sequence[Image]) -> tuple[str | Image, ...]:
    """``text`` with ``images`` in the places of its marks, line ends beside them dropped; without marks images first.

    A text with marks but without images keeps none of them. Raises ValueError if the counts differ otherwise, or for a
    mark of another kind (``<image 1>``).
    """
    if other := OTHER_MARK.search(text):
        raise ValueError(f"the text holds {other[0]}, which would be read as text: mark images by {MARK}")
    pieces = [piece.strip("\n") for piece in text.split(MARK)]
    if len(pieces) == 1:
        return (*images, *([text] if text else []))
    if not images:
        return (" ".join(filter(None, (piece.strip() for piece in pieces))),)
    if len(images) != len(pieces) - 1:
        raise ValueError(f"the text has {len(pieces) - 1} times {MARK}, and there are {len(images)} images")
    return tuple(_woven(pieces, images))


def _woven(pieces: Sequence[str], images: Sequence[Image]) -> Iterator[str | Image]:
    for piece, image in zip(pieces, (*images, None), strict=True):
        if piece:
            yield piece
        if image is not None:
            yield image
