"""docs/architecture.md draws the arrows that the structure tests enforce, and says what each room is for."""

from __future__ import annotations

import re

from tests.house import MAY_IMPORT, ROOT, diagram

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_the_picture_is_the_table() -> None:
    (drawn,) = re.findall(r"```mermaid\n(.*?)\n```", PAGE, re.DOTALL)
    assert drawn == diagram(), "put what `python -m tests.house` prints into docs/architecture.md"


def test_every_room_is_described_once() -> None:
    described = re.findall(r"^\| `([\w.]+)` \|", PAGE, re.MULTILINE)
    assert sorted(described) == sorted(MAY_IMPORT)
