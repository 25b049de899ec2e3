"""An image is opened as a viewer shows it, whoever opens it."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from harness.chat.completion import data_url
from harness.protocols.conversation import Image as Named
from harness.util.images import ORIENTATION, as_shown, changes_of, count_changes, open_image, seen_digest


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


def grey(values: list[float], kind: str, fmt: str = "TIFF") -> bytes:
    return encoded(Image.fromarray(np.array([values]).astype(kind)), fmt)


@pytest.mark.parametrize(
    ("data", "shown", "said"),
    [
        (grey([0, 2048, 4095], "uint16"), [0, 128, 255], ["12 bit scaled to 8"]),
        (grey([0, 2048, 4095], "uint16", "PNG"), [0, 128, 255], ["12 bit scaled to 8"]),
        (grey([0, 100, 255], "uint16"), [0, 100, 255], []),
        (grey([0, 32896, 65535], "uint16"), [0, 128, 255], ["16 bit scaled to 8"]),
        (grey([0, 100, 255], "int32"), [0, 100, 255], []),
        (grey([0, 2048, 4095], "int32"), [0, 128, 255], ["12 bit scaled to 8"]),
        (grey([0, 100_000, 200_000], "int32"), [0, 128, 255], ["scaled from its own darkest and brightest value"]),
        (grey([-100, 0, 100], "int32"), [0, 128, 255], ["scaled from its own darkest and brightest value"]),
        (grey([0, 0.5, 1], "float32"), [0, 128, 255], ["fractions scaled to 8 bit"]),
        (grey([0, 100.4, 255], "float32"), [0, 100, 255], []),
        (grey([-1, 0, 1], "float32"), [0, 128, 255], ["scaled from its own darkest and brightest value"]),
        (grey([7000, 7000], "float32"), [0, 0], ["scaled from its own darkest and brightest value"]),
    ],
)
def test_grey_of_any_depth_is_scaled_by_a_rule_that_is_said(data: bytes, shown: list[int], said: list[str]) -> None:
    image = open_image(data)
    assert [image.getpixel((x, 0)) for x in range(image.width)] == [(value,) * 3 for value in shown]
    assert changes_of(data) == said
    sent = Image.open(io.BytesIO(as_shown(data)))
    assert sent.format == "PNG" and sent.tobytes() == image.tobytes()


def test_only_images_that_are_shown_in_a_new_way_get_new_keys() -> None:
    """What was stored under the keys of before is found: plain images, and 16 bits that were scaled as they are now."""
    for data, mark in [
        (encoded(ramp(1, "uint8")), b""),
        (encoded(Image.new("CMYK", (2, 2)), "JPEG"), b""),
        (on_its_side(), b"shown"),
        (grey([0, 65535], "uint16"), b"shown"),
        (grey([0, 255], "int32"), b"shown"),
        (grey([0, 4095], "uint16"), b"shown 2"),
        (grey([0, 70_000], "int32"), b"shown 2"),
        (grey([0, 1], "float32"), b"shown 2"),
    ]:
        assert seen_digest(data) == hashlib.sha256(data + mark).hexdigest()


def test_every_orientation_of_exif_is_turned_upright() -> None:
    """A corner is red in the upright picture: wherever a camera puts it, it comes back."""
    upright = Image.new("RGB", (16, 8), "white")
    upright.paste("red", (0, 0, 4, 4))
    corners = {2: (12, 0), 3: (12, 4), 4: (0, 4), 5: (0, 0), 6: (0, 12), 7: (4, 12), 8: (4, 0)}
    for orientation, (left, top) in corners.items():
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        lying = Image.new("RGB", (16, 8) if orientation < 5 else (8, 16), "white")
        lying.paste("red", (left, top, left + 4, top + 4))
        data = encoded(lying, exif=exif)
        assert open_image(data).tobytes() == upright.tobytes(), orientation
        assert changes_of(data) == ["turned by EXIF"]
    broken = Image.Exif()
    broken[ORIENTATION] = 99
    assert open_image(encoded(upright, exif=broken)).tobytes() == upright.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_that_pillow_turns_itself_is_not_turned_again(orientation: int) -> None:
    lying = Image.effect_noise((6, 4), 90).convert("RGB")
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(lying, "TIFF", tiffinfo={ORIENTATION: orientation})
    assert open_image(data).tobytes() == open_image(encoded(lying, exif=exif)).tobytes()
    assert changes_of(data) == (["turned by EXIF"] if orientation > 1 else [])
    assert Image.open(io.BytesIO(as_shown(data))).tobytes() == open_image(data).tobytes()
    mark = b"shown 3" if orientation > 1 else b""  # they were turned twice, and what was stored of that is not found
    assert seen_digest(data) == hashlib.sha256(data + mark).hexdigest()


def test_of_an_animation_all_see_the_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert open_image(data).getpixel((0, 0)) == (255, 0, 0) or kind == "GIF", kind
        assert changes_of(data) == ["first frame"], kind
        assert Image.open(io.BytesIO(as_shown(data))).tobytes() == open_image(data).tobytes()


def test_inks_are_those_that_a_camera_wrote_and_all_see_the_same() -> None:
    """Adobe's JPEG holds CMYK upside down: no cyan, full magenta and yellow are red."""
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    assert b"Adobe" in data and open_image(data).getpixel((4, 4)) == (255, 0, 0)
    assert changes_of(data) == ["CMYK converted"] and as_shown(data).startswith(b"\x89PNG")


def test_changes_are_counted_over_images() -> None:
    plain = encoded(Image.new("RGB", (2, 2)))
    images = [on_its_side(), on_its_side(), drawing("RGBA"), plain, b"no image"]
    assert count_changes(images) == {"laid on white": 1, "turned by EXIF": 2}


@pytest.mark.parametrize("data", [on_its_side(), drawing("RGBA"), encoded(ramp(257, "uint16"))])
def test_an_endpoint_is_sent_what_a_model_here_sees(data: bytes) -> None:
    sent = Image.open(io.BytesIO(as_shown(data))).convert("RGB")
    assert sent.tobytes() == open_image(data).tobytes() and sent.size == open_image(data).size
    assert data_url(Named(data=data)).startswith("data:image/png;base64,")
    assert seen_digest(data) != hashlib.sha256(data).hexdigest()


BAD = {
    "nothing": b"",
    "no image": b"not an image",
    "cut short": encoded(Image.new("RGB", (64, 64)))[:60],
    "a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n",
    "no pixels": b"P6 0 4 255\n",
    "a header alone": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_cannot_be_opened_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        open_image(data)
    assert changes_of(data) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"\n<!DOCTYPE html><html>404", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 90, "HEIC, which is not read"),
        (b"\0\0\0\x18ftypisom" + b"\0" * 90, "a video"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"no image", "of no known image format"),
    ],
)
def test_what_lies_there_instead_of_an_image_is_said(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        open_image(data)


def test_a_program_is_not_sent_for_an_image() -> None:
    with pytest.raises(ValueError, match="EPS is a program"):
        as_shown(BAD["a program"])


def test_fractions_that_are_not_finite_are_no_picture() -> None:
    data = grey([0, float("nan"), 1], "float32")
    with pytest.raises(ValueError, match="not finite"):
        open_image(data)
    assert changes_of(data) == []


@pytest.mark.parametrize("size", [(1, 3000), (3000, 1), (1, 1)])
def test_an_image_of_any_shape_is_opened_as_it_is(size: tuple[int, int]) -> None:
    assert open_image(encoded(Image.new("L", size))).size == size


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="decompression bomb"):
        open_image(encoded(Image.new("RGB", (64, 64))))
