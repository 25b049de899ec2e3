"""The rows of a results file read page by page are those that SQLite reads."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from harness.protocols.model import Answer
from harness.store import Store
from harness.store.migrations import schema
from harness.store.pages import Pages, Shape
from tests.harness.store.old_files import old_file

LENGTHS = (0, 1, 59, 1000, 1001, 1002, 1003, 1004, 1100, 3000, 4035, 4096, 5105, 70_000)


def shapes(path: Path) -> dict[str, Shape]:
    db = sqlite3.connect(path)
    found = {}
    for table in schema():
        facts = db.execute("SELECT type, pk > 0 FROM pragma_table_info(?)", [table]).fetchall()
        if facts:
            found[table] = Shape([(kind, bool(key)) for kind, key in facts], len(schema(1).get(table, facts)))
    db.close()
    return found


@pytest.mark.parametrize("version", [1, 7])
def test_every_table_is_told_by_the_shape_of_its_rows(tmp_path: Path, version: int) -> None:
    path = old_file(tmp_path / "r.sqlite", version)
    tables = shapes(path)
    db = sqlite3.connect(path)
    expected = {table: sorted(map(repr, db.execute(f'SELECT * FROM "{table}"'))) for table in tables}
    db.close()
    read: dict[str, list[str]] = {table: [] for table in tables}
    with Pages(path) as pages:
        for table, row in pages.rows(tables):
            read[table].append(repr(tuple(row)))
    told = {table for table, rows in read.items() if rows}
    assert {"generation", "reply", "evaluation", "verdict", "alignment"} <= told
    assert all(len(read[table]) == len(expected[table]) for table in told)


def test_texts_of_every_length_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    texts = {f"q{length}": "\N{SNOWMAN}" + "a" * length for length in LENGTHS}
    store.save_answers("model", [(key, Answer(text, tokens=2**40)) for key, text in texts.items()])
    store.close()
    with Pages(tmp_path / "r.sqlite") as pages:
        rows = [row for table, row in pages.rows(shapes(tmp_path / "r.sqlite")) if table == "generation"]
    assert {row[1]: row[2] for row in rows} == texts and {row[4] for row in rows} == {2**40}


def test_no_page_of_whatever_bytes_ends_the_reading(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_answers("model", [(f"q{n}", Answer("word " * (n * 20))) for n in range(100)])
    store.close()
    content, chance = bytearray((tmp_path / "r.sqlite").read_bytes()), random.Random(0)
    tables = shapes(tmp_path / "r.sqlite")
    for _ in range(30):
        for _ in range(200):
            content[chance.randrange(4096, len(content))] = chance.choice((0, 1, 255, chance.randrange(256)))
        (tmp_path / "bad.sqlite").write_bytes(content)
        with Pages(tmp_path / "bad.sqlite") as pages:
            assert len(list(pages.rows(tables))) <= 200
