"""The first page of a results file made anew: without it nothing says where the tables are, though they are there.

The tables of every version are known; which page leads to which is written in the pages. So the page that leads to the
rows of a table, and that no other leads to, is the table's. Of several (freed pages hold what they held) it is the one
that leads to most, and of these the first: a table's own page was there before all others.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.store.connection import connect
from harness.store.migrations import NEWEST, columns, migrate, tables_of
from harness.store.pages import Pages, Row, Shape

LOGS_AHEAD, SIZE, FREED = slice(18, 20), slice(28, 32), slice(32, 40)
"""Where the header says that a log is kept, how many pages there are, and which of them are freed."""
LOOKED_AT = 1000
"""Pages of a file that are looked at to see whose it is: it may be of any size, and none of ours."""


def shapes(version: int = NEWEST) -> dict[str, Shape]:
    """By table what identifies its rows; in older versions a row had fewer columns."""
    first = columns(1)
    return {table: Shape([*facts.values()], len(first.get(table, facts))) for table, facts in columns(version).items()}


def remake(source: Path, target: Path) -> list[str]:
    """Write to ``target`` what lies at ``source``, with its log, under a first page made anew; returns the tables whose
    rows were found."""
    shutil.copyfile(source, target)
    log = source.resolve().with_name(f"{source.resolve().name}-wal")
    if log.exists():
        shutil.copyfile(log, target.with_name(f"{target.name}-wal"))
    blank = target.with_name(f"{target.name}-blank")
    with Pages(source) as pages, contextlib.closing(connect(blank)) as db, target.open("r+b") as file:
        db.execute(f"PRAGMA page_size = {pages.size}")
        migrate(db)
        for view in tables_of(db, "view"):  # with them the tables would not all stand on the first page
            db.execute(f"DROP VIEW {view}")
        db.execute("VACUUM")
        roots = _roots(pages, shapes())
        db.execute("PRAGMA writable_schema = ON")
        for (name,) in db.execute("SELECT name FROM sqlite_master").fetchall():
            if name in roots:
                db.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = ?", [roots[name], name])
            else:  # indices too, which no reading here needs
                db.execute("DELETE FROM sqlite_master WHERE name = ?", [name])
        db.commit()
        first = bytearray(blank.read_bytes()[: pages.size])
        size = max(pages.present, pages.promised)
        first[LOGS_AHEAD], first[SIZE], first[FREED] = b"\2\2", size.to_bytes(4), pages.freed_said
        file.seek(0)
        file.write(first)
    blank.unlink()
    return sorted(roots)


def holds_rows(path: Path) -> bool:
    """Whether pages of a file whose first one is lost hold rows of ours."""
    with Pages(path) as pages:
        known = shapes()
        return any(_table_of(pages.rows_of(number), known) for number in range(2, min(pages.present, LOOKED_AT) + 1))


def _roots(pages: Pages, known: Mapping[str, Shape]) -> dict[str, int]:
    """By table the page that leads to all of its rows; tables of which no row is found are absent."""
    found: dict[str, tuple[int, int]] = {}
    for root, reached in pages.trees().items():
        rows = next((rows for number in reached if (rows := pages.rows_of(number))), [])
        if table := _table_of(rows, known):
            found[table] = max(found.get(table, (0, 0)), (len(reached), -root))
    return {table: -root for table, (_, root) in found.items()}


def _table_of(rows: Sequence[Row], known: Mapping[str, Shape]) -> str:
    """The one table that ``rows`` can be of; "" where there is none, or several."""
    fitting = [name for name, shape in known.items() if rows and all(map(shape.fits, rows))]
    return fitting[0] if len(fitting) == 1 else ""
