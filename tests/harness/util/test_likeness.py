"""Two pictures are one by COCO's number, by their bytes, or by how they look."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from harness.util.likeness import ALIKE, WORDS, coco_number, distinctive, look_of, nearest, print_of


def picture(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Soft random shapes: no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "PNG", **how: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def apart(one: Image.Image, other: Image.Image) -> int:
    a, b = look_of(one), look_of(other)
    assert a is not None and b is not None
    return int(np.bitwise_count(a ^ b).sum())


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("COCO_val2014_000000000042", "42"), ("COCO_train2014_000000000042", "42"), ("000000000042", "42"),
        ("000000000000", "0"), ("42", ""), ("COCO_val2014_42", ""), ("0000000000042", ""), ("a000000000042", ""),
    ],
)  # fmt: skip
def test_only_coco_s_own_names_give_its_number(name: str, number: str) -> None:
    assert coco_number(name) == number


@pytest.mark.parametrize(
    ("name", "known"),
    [("2345678", True), ("flickr_1000092795", True), ("0a1b2c3d4e5f6071", True), ("1", False), ("image_12", False),
     ("v1_0", False), ("0_1", False), ("000000000042", False)],
)  # fmt: skip
def test_a_name_counts_where_no_two_pictures_share_it_by_chance(name: str, known: bool) -> None:
    assert bool(distinctive(name)) is known


def test_a_copy_looks_alike_and_another_picture_does_not() -> None:
    first = picture(1)
    copies = [first.resize((75, 40)), Image.open(io.BytesIO(encoded(first, "JPEG", quality=20))), first.convert("L")]
    assert all(apart(first, copy) <= ALIKE for copy in copies)
    assert all(apart(first, picture(seed)) > 2 * ALIKE for seed in range(2, 30))


def test_the_negative_of_a_picture_differs_in_every_bit_but_the_median_s() -> None:
    """Of 255 frequencies one is the median and 127 are above it; of the negative the 127 that were below: 254 bits."""
    image = picture(3).convert("L")
    assert apart(image, Image.fromarray(255 - np.asarray(image))) == 254


def test_a_picture_that_shows_nothing_has_no_look() -> None:
    assert look_of(Image.new("RGB", (50, 50), "white")) is None


def test_what_is_no_picture_has_its_bytes_alone() -> None:
    assert print_of(b"no picture").look is None and len(print_of(b"no picture").digest) == 64


@pytest.mark.parametrize("cells", [1, 40, 1 << 20])
def test_the_nearest_are_found_whatever_is_held_at_a_time(cells: int) -> None:
    """A copy with ALIKE bits changed is found, one with a bit more is not."""
    looks = np.random.default_rng(0).integers(0, 1 << 63, (30, WORDS)).astype(np.uint64)
    others = looks[:3].copy()
    others[1, 0] ^= np.uint64((1 << ALIKE) - 1)
    others[2, 0] ^= np.uint64((1 << (ALIKE + 1)) - 1)
    assert list(nearest(looks, others, cells)) == [(0, 0, 0), (1, 1, ALIKE)]
