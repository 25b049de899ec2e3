"""Opening an image: one way for training, generation, CLIP and endpoints, so that all of them see the same pixels.

What a plain reader would show otherwise is done here once, by the rules of ``to_rgb``, and said (``changes_of``).
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from harness.util.other_kind import other_kind

warnings.simplefilter("ignore", Image.DecompressionBombWarning)
"""Of pictures that are large and opened; one that is twice as large is an error, which names it."""
CANNOT_OPEN = (
    OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, MemoryError,
    NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for a file that is no image, cut short, malformed, or too large to be opened safely."""
PROGRAMS = {"EPS"}
"""Formats that are programs, which Pillow would have another program run."""
ORIENTATION = 0x0112
"""EXIF's tag."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture of each EXIF orientation upright."""
DEPTHS = {255: "", 4095: "12 bit scaled to 8", 65535: "16 bit scaled to 8"}
"""The largest values of grey that has more than 8 bits to a pixel, and what is said of it."""
OWN_RANGE = "scaled from its own darkest and brightest value"
TURNED, ON_WHITE, FIRST, INKS = "turned by EXIF", "laid on white", "first frame", "CMYK converted"
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""What a PNG holds that says how it is turned; Pillow decodes all its pixels to look for it behind them."""
SENT_AS_IT_IS = {"JPEG", "PNG", "WEBP", "MPO"}
"""Formats that every endpoint reads."""


def open_image(data: bytes) -> Image.Image:
    """The image of encoded bytes, in RGB, as a viewer shows it (see ``to_rgb``).

    Raises ValueError with Pillow's reason for one that cannot be opened, or has no pixels.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format in PROGRAMS:
                raise ValueError(f"{image.format} is a program and no picture")
            if 0 in image.size:
                raise ValueError(f"it has no pixels ({image.width} x {image.height})")
            return to_rgb(image)
    except UnidentifiedImageError:  # its own text names an object of Python
        raise ValueError(other_kind(data) or "it is of no known image format") from None
    except CANNOT_OPEN as error:
        raise ValueError(str(error) or type(error).__name__) from error


def image_size(source: bytes | Path) -> tuple[int, int]:
    """Width and height of an encoded image or a file, from its header. Raises ValueError as ``open_image`` does."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return image.size
    except CANNOT_OPEN as error:
        raise ValueError(str(error) or type(error).__name__) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """``image`` turned as its EXIF data say, grey of more than 8 bits scaled, what is transparent on white, in RGB.

    Of several frames the first. Grey in 16 or 32 bits is scaled by the least of 8, 12 and 16 bits that holds its
    brightest value; grey of fractions by 1 or by 255, whichever does; any other (negative, brighter) from its own
    darkest to its own brightest value. Pillow's own conversion leaves a phone's picture on its side, cuts deep grey off
    at 255 and puts what is transparent on black. Raises ValueError for a value that is not finite.
    """
    image.load()  # of a TIFF, Pillow turns the pixels itself
    if (turn := TURNS.get(_orientation(image))) is not None:
        image = image.transpose(turn)
    if _is_deep(image):
        image = _eight_bits(image)[0]
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def changes_of(data: bytes) -> list[str]:
    """What ``open_image`` does to the image beside reading it, in words; empty for one that cannot be opened."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            done = [TURNED] if _orientation(image) in TURNS else []
            if image.format != "MPO" and getattr(image, "is_animated", False):
                done.append(FIRST)
            if image.mode == "CMYK":
                done.append(INKS)
            if _is_deep(image):
                return [*done, *filter(None, [_eight_bits(image)[1]])]
            return [*done, *([ON_WHITE] if image.has_transparency_data else [])]
    except CANNOT_OPEN:
        return []  # who opens it says what is wrong with it


def count_changes(images: Iterable[bytes]) -> dict[str, int]:
    """How many of ``images`` were changed in which way when they were opened (see ``changes_of``)."""
    return dict(sorted(Counter(change for data in images for change in changes_of(data)).items()))


def as_shown(data: bytes) -> bytes:
    """``data``, or a PNG of what ``open_image`` makes of it where another reader might see something else.

    What Pillow does not recognise is returned as it is; else raises ValueError as ``open_image`` does.
    """
    if not (_marked(data) or _reads_otherwise(data)):
        return data
    out = io.BytesIO()
    open_image(data).save(out, "PNG")
    return out.getvalue()


def seen(data: bytes) -> bytes:
    """What a key of an image is made of: its bytes, and a mark where ``open_image`` changes what others would see."""
    return data + _marked(data)


def seen_digest(data: bytes) -> str:
    """sha256 of the image as it is seen."""
    return hashlib.sha256(seen(data)).hexdigest()


def _marked(data: bytes) -> bytes:
    """The mark of an image that a plain reader would show otherwise; another one where the rule is a newer one."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.format == "TIFF" and _orientation(image) in TURNS:
                return b"shown 3"
            if _is_deep(image):
                return b"shown" if _scaled_as_before(image) else b"shown 2"
            turned = _orientation(image) != 1
            return b"shown" if turned or image.has_transparency_data else b""
    except CANNOT_OPEN:
        return b""  # who opens it says what is wrong with it


def _reads_otherwise(data: bytes) -> bool:
    """Whether programs may differ on the image: its format is not read by all, its frames or its inks are chosen."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            moves = image.format != "MPO" and getattr(image, "is_animated", False)
            return image.format not in SENT_AS_IT_IS or moves or image.mode == "CMYK"
    except CANNOT_OPEN:
        return False


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1, upright, where there is none or its EXIF data cannot be read."""
    encoded = getattr(image, "fp", None) if image.format == "PNG" else None
    if isinstance(encoded, io.BytesIO) and not any(mark in encoded.getvalue() for mark in PNG_EXIF):
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except CANNOT_OPEN:
        return 1


def _is_deep(image: Image.Image) -> bool:
    """Whether it is grey of more than 8 bits: 16, 32, or fractions."""
    return image.mode.startswith(("I", "F"))


def _scaled_as_before(image: Image.Image) -> bool:
    """Whether values are scaled as when keys were first stored: whole ones by 16 bits, those of 8 in 32 not at all."""
    if image.mode == "F":
        return False
    darkest, brightest = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    low = -1 if image.mode == "I" and brightest <= 255 else 4095
    return darkest >= 0 and low < brightest <= 65535


def _eight_bits(image: Image.Image) -> tuple[Image.Image, str]:
    """Deep grey in 8 bits by the rule of ``to_rgb``, and what was done to it; "" where the values are as they were."""
    values: NDArray[np.float64] = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are not finite numbers")
    darkest, brightest = float(values.min()), float(values.max())
    depth = next((most for most in DEPTHS if brightest <= most), None)
    if image.mode == "F" and darkest >= 0 and brightest <= 255:
        scale, said = (255.0, "fractions scaled to 8 bit") if brightest <= 1 else (1.0, "")
    elif image.mode == "F" or darkest < 0 or depth is None:
        values, scale, said = (values - darkest) / ((brightest - darkest) or 1), 255.0, OWN_RANGE
    else:
        scale, said = 255 / depth, DEPTHS[depth]
    return Image.fromarray(np.rint(values * scale).clip(0, 255).astype(np.uint8)), said
