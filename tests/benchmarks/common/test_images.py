"""The image of a benchmark's row, in the forms that files have it in."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from benchmarks.common.images import image_in
from harness.protocols.conversation import Image
from tests.tiny import picture

ENCODED = base64.b64encode(picture(0)).decode()


@pytest.mark.parametrize(
    "written", [ENCODED, f"data:image/png;base64,{ENCODED}", base64.encodebytes(picture(0)).decode()]
)
def test_an_image_in_the_row_is_base64_in_any_form(written: str) -> None:
    assert image_in({"image": written}, Path(), "row 0") == Image(data=picture(0))


def test_an_image_by_its_path_lies_in_the_data_directory(tmp_path: Path) -> None:
    for row in ({"image_path": "a/1.jpg"}, {"image": "a/1.jpg"}):
        assert image_in(row, tmp_path, "row 0") == Image(path=tmp_path / "a/1.jpg")
    assert image_in({"image": None}, tmp_path, "row 0") is None
