"""docs/architecture.md draws the arrows that the structure tests enforce, and says what each room is for."""

from __future__ import annotations

import re

from tests.docs.architecture_page import PAGE, page
from tests.house import MAY_IMPORT

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_picture_is_the_table() -> None:
    assert "```mermaid\nflowchart" in TEXT
    assert page() == TEXT, "run `make docs`"


def test_every_room_is_described_once() -> None:
    described = re.findall(r"^\| `([\w.]+)` \|", TEXT, re.MULTILINE)
    assert sorted(described) == sorted(MAY_IMPORT)
