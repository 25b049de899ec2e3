"""The page's section of single objects."""

from __future__ import annotations

from pathlib import Path

from harness.store import Store
from leaderboards.formats.html import Html
from leaderboards.page.objects import object_sections
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.fakes import example
from tests.leaderboards.test_objects import store as store  # noqa: PLC0414  a fixture


def test_a_panel_shows_what_each_method_changes_against_its_base(store: Store) -> None:
    """chair: 3 of 3 at base, 0.5 of 1 in dpo: 2.5 fewer in 4 answers."""
    (section,) = object_sections(View(Snapshot(store)), "")
    (method,) = section["methods"]
    assert (section["reference"], method["label"], method["answers"]) == ("base", "dpo", 4)
    chair = method["rows"][0]
    assert (chair["object"], chair["reference"], chair["method"], chair["change"]) == (
        "chair",
        "3 of 3",
        "0.5 of 1",
        "-62.5",
    )
    assert method["every"] == {"reference": "4 of 5", "method": "2 of 3"}


def test_the_page_has_the_section_where_objects_are_named_and_only_there(store: Store, tmp_path: Path) -> None:
    (page,) = Html().write(View(Snapshot(store)), tmp_path / "page.html")
    assert "Which objects?" in page.read_text() and "<caption>dpo, 4 answers</caption>" in page.read_text()
    (tmp_path / "other").mkdir()
    (other,) = Html().write(View(Snapshot(example(tmp_path / "other"))), tmp_path / "other.html")
    assert "Which objects?" not in other.read_text()
