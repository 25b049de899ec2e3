"""Whether two pictures are one: by the number that COCO's file names hold, by their bytes, by how they look.

How a picture looks is its perceptual hash: brightness as 64 x 64 pixels, the 16 x 16 lowest frequencies of its cosine
transform but the constant one, each above their median or not: 255 bits (Zauner 2010, "Implementation and benchmarking
of perceptual image hash functions"). Another size, format or quality leaves it nearly as it is; a part cut out of a
picture, or its mirror image, has another one, and colours play no part.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from harness.util.images import open_image

SIDE, LOWEST = 64, 16
WORDS = 4
"""Numbers of 64 bits that hold the hash."""
ALIKE = 32
"""Bits in which two pictures differ at most that look alike. Of 25 photographs of COCO none differs from its copy in a
quarter of the size, JPEG of quality 10, grey, with noise or 30 % brighter in more than 24; of 300 pairs of them none in
fewer than 102, of 76,800 pairs of their sixteenths none in fewer than 86. Drawings may be nearer: of 179,700 pairs of
the embedded world's scenes one (a cow in another colour) differs in 24, the next in 34.
"""
FLAT = 1.0
"""Standard deviation of the brightness (of 255) below which a picture shows nothing that could be recognised."""
COCO = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})")
DISTINCTIVE = re.compile(r"(?=.*\d{6}|[0-9a-f]{16}$)[\w.-]{6,}", re.IGNORECASE)
"""File names that no two pictures share by chance: a number of six digits or more, or the name is a digest."""
TRANSFORM: NDArray[np.float64] = np.cos(
    np.pi * np.arange(LOWEST)[:, None] * (2 * np.arange(SIDE)[None, :] + 1) / (2 * SIDE)
)
"""Rows of the cosine transform (DCT-II) of the lowest frequencies; their scale changes no bit."""


@dataclass(frozen=True)
class Print:
    """What a picture is recognised by.

    Args:
        digest: sha256 of its bytes; "" of one that cannot be read.
        look: its perceptual hash, ``WORDS`` numbers of 64 bits; None where it cannot be decoded or shows nothing.
    """

    digest: str = ""
    look: NDArray[np.uint64] | None = field(default=None, compare=False)


def print_of(data: bytes) -> Print:
    """What the picture of these encoded bytes is recognised by; of no picture the bytes alone."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        return Print(digest, look_of(open_image(data)))
    except ValueError:
        return Print(digest)


def look_of(image: Image.Image) -> NDArray[np.uint64] | None:
    """The perceptual hash of a picture; None of one of a single brightness."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS), np.float64)
    if grey.std() < FLAT:
        return None
    lowest = (TRANSFORM @ grey @ TRANSFORM.T).ravel()[1:]
    bits = np.append(lowest > np.median(lowest), False)
    return np.packbits(bits).view(np.uint64)


def coco_number(name: str) -> str:
    """The number of COCO's picture that a file's name (without folder and ending) gives; "" for another name.

    COCO numbers the pictures of all its splits and years once: COCO_val2014_000000000042 and 000000000042 are one.
    """
    number = COCO.fullmatch(name)
    return number[1].lstrip("0") or "0" if number else ""


def distinctive(name: str) -> str:
    """The name of a file (without folder and ending) if it is one that pictures do not share by chance; else ""."""
    return name.lower() if DISTINCTIVE.fullmatch(name) and not coco_number(name) else ""


def nearest(
    looks: NDArray[np.uint64], others: NDArray[np.uint64], cells: int = 1 << 20
) -> Iterator[tuple[int, int, int]]:
    """(row of ``looks``, row of ``others``, bits that differ) of all that look alike; both are [n, WORDS].

    At most about ``cells`` distances are held at a time.
    """
    step = max(1, cells // max(1, len(others)))
    for start in range(0, len(looks), step):
        apart = np.bitwise_count(looks[start : start + step, None, :] ^ others[None, :, :]).sum(-1, dtype=np.uint16)
        for row, other in np.argwhere(apart <= ALIKE).tolist():
            yield start + row, other, int(apart[row, other])
