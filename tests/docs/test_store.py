"""docs/store.md has a sentence for every column of every table and view, and for nothing else."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from harness.store import Store
from harness.store.migrations import schema, tables_of
from tests.house import ROOT
from tests.leaderboards.fakes import example

TEXT = (ROOT / "docs" / "store.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\w+) \| (.+) \|$", re.MULTILINE)


def described(heading: str) -> dict[str, str]:
    """The sentence of each column under a heading of the page."""
    section = re.split(r"^##+ ", TEXT.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return {name: meaning for name, meaning in ROW.findall(section) if name != "column"}


@pytest.mark.parametrize("table", schema())
def test_every_column_of_a_table_has_a_sentence(table: str) -> None:
    assert described(f"### {table}").keys() == schema()[table]


@pytest.mark.parametrize("view", ["answers", "mentions", "judgements", "scores"])
def test_every_column_of_a_view_has_a_sentence(view: str, tmp_path: Path) -> None:
    views = tables_of(Store(tmp_path / "r.sqlite").connection, "view")
    assert described("## Views").keys() | described(f"### {view}").keys() == views[view]


def test_the_queries_that_the_page_shows_can_be_run(tmp_path: Path) -> None:
    queries = re.findall(r"^    (SELECT .+?;)$", TEXT, re.MULTILINE | re.DOTALL)
    store = example(tmp_path)
    assert len(queries) == 2
    for query in queries:
        sqlite3.connect(store.path).execute(query).fetchall()
