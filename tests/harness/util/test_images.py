"""An image is opened as a viewer shows it, whoever opens it."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from harness.chat.completion import data_url
from harness.protocols.conversation import Image as Named
from harness.util.images import ORIENTATION, as_shown, open_image, seen_digest


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def ramp(scale: int, kind: str) -> Image.Image:
    return Image.fromarray((np.arange(256).reshape(16, 16) * scale).astype(kind))


def on_its_side() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(Image.new("RGB", (8, 4), "red"), "JPEG", exif=exif)


def drawing(mode: str) -> bytes:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((1, 1), (0, 0, 0, 255))
    return encoded(image if mode == "RGBA" else image.convert(mode))


def test_a_plain_image_is_what_pillow_reads_and_keeps_its_key() -> None:
    data = encoded(Image.effect_noise((8, 8), 90).convert("RGB"), "JPEG")
    assert open_image(data).tobytes() == Image.open(io.BytesIO(data)).convert("RGB").tobytes()
    assert as_shown(data) is data
    assert seen_digest(data) == hashlib.sha256(data).hexdigest()


def test_a_phones_picture_is_turned_as_its_exif_data_say() -> None:
    assert open_image(on_its_side()).size == (4, 8)


def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off() -> None:
    """65535 is white and 257 steps are one of 8 bits: the same picture as the 8-bit one."""
    deep, plain = open_image(encoded(ramp(257, "uint16"))), open_image(encoded(ramp(1, "uint8")))
    assert deep.tobytes() == plain.tobytes() and deep.mode == "RGB"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_lies_on_white(mode: str) -> None:
    whole = drawing("RGBA")
    data = encoded(Image.open(io.BytesIO(whole)).quantize(4)) if mode == "PA" else drawing(mode)
    image = open_image(data)
    assert (image.getpixel((0, 0)), image.getpixel((1, 1))) == ((255, 255, 255), (0, 0, 0))


@pytest.mark.parametrize("data", [on_its_side(), drawing("RGBA"), encoded(ramp(257, "uint16"))])
def test_an_endpoint_is_sent_what_a_model_here_sees(data: bytes) -> None:
    sent = Image.open(io.BytesIO(as_shown(data))).convert("RGB")
    assert sent.tobytes() == open_image(data).tobytes() and sent.size == open_image(data).size
    assert data_url(Named(data=data)).startswith("data:image/png;base64,")
    assert seen_digest(data) != hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(Image.new("RGB", (64, 64)))[:60]])
def test_what_cannot_be_opened_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        open_image(data)
    assert as_shown(data) is data


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="decompression bomb"):
        open_image(encoded(Image.new("RGB", (64, 64))))
