"""Opening an image: one way for training, generation, CLIP and endpoints, so that all of them see the same pixels."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

CANNOT_OPEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is no image, cut short, or too large to be opened safely."""
ORIENTATION = 0x0112
"""EXIF's tag."""


def open_image(data: bytes) -> Image.Image:
    """The image of encoded bytes, in RGB, as a viewer shows it (see ``to_rgb``).

    Raises ValueError with Pillow's reason for one that cannot be opened.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return to_rgb(image)
    except CANNOT_OPEN as error:
        raise ValueError(str(error)) from error


def image_size(source: bytes | Path) -> tuple[int, int]:
    """Width and height of an encoded image or a file, from its header. Raises ValueError as ``open_image`` does."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return image.size
    except CANNOT_OPEN as error:
        raise ValueError(str(error)) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` turned as its EXIF data say, 16-bit grey scaled to 8 bits, what is transparent on white, in RGB.

    Pillow's own conversion leaves a phone's picture on its side, cuts 16-bit grey off at 255 and puts what is
    transparent on black.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def shown_otherwise(data: bytes) -> bool:
    """Whether ``open_image`` makes something else of the image than a plain reader; keys of what is seen say so."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            turned = image.getexif().get(ORIENTATION, 1) != 1
            return turned or image.has_transparency_data or image.mode.startswith("I")
    except CANNOT_OPEN:
        return False  # who opens it says what is wrong with it


def as_shown(data: bytes) -> bytes:
    """``data``, or a PNG of what ``open_image`` makes of it where a plain reader would see something else."""
    if not shown_otherwise(data):
        return data
    out = io.BytesIO()
    open_image(data).save(out, "PNG")
    return out.getvalue()


def seen_digest(data: bytes) -> str:
    """sha256 of the image's bytes; another one where ``open_image`` changes what a plain reader would see."""
    return hashlib.sha256(data + b"shown" if shown_otherwise(data) else data).hexdigest()


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.int64)
    if image.mode != "I" or values.max() > 255:  # "I" also holds what had 8 bits
        values = np.rint(values / 257)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
