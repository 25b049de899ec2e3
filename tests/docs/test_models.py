"""docs/models.md says what the rows of the families and their tiny models say."""

from __future__ import annotations

from harness.models.families import FAMILIES
from tests.docs.models_page import PAGE, page


def test_the_page_is_what_the_families_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_row_stands_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"| {row.title} |" in text and f"### {row.title}\n" in text for row in FAMILIES.values())
