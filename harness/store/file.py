"""The results file itself: opened, read and written, looked after."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.protocols.progress import Progress, silent
from harness.store.cells import damage_of, read_row
from harness.store.connection import Connection, connect, damaged
from harness.store.database import database
from harness.store.migrations import schema, transaction, version_of
from harness.store.opening import open_to_write
from harness.store.records import Row
from harness.util.files import replacing

NEXT_NUMBER = """(SELECT 1 + max(coalesce((SELECT max(id) FROM evaluation), 0),
                        coalesce((SELECT max(number) FROM alignment), 0)))"""
"""SQL of the next place in the one order of alignments and evaluations, which no clock disturbs."""

SELDOM = 10_000
"""Rows between two reports of progress."""


class ResultsFile:
    """The file at ``path``, made if absent; several processes may use it at once.

    Args:
        opened: a connection to it, where it is not to be made and written (``harness.store.opening``).
    """

    def __init__(self, path: str | Path, opened: Connection | None = None) -> None:
        self.path = Path(path)
        self.connection = opened or open_to_write(self.path)
        self.db = database(self.connection)
        self._identity = _identity(self.path)

    def close(self) -> None:
        self.db.close()

    @property
    def schema_version(self) -> int:
        return version_of(self.connection)

    def tables(self) -> list[str]:
        """Names of all tables, in the order they were made."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rootpage"
        return [row[0] for row in self.db.execute(query)]

    def columns(self, table: str) -> dict[str, str]:
        """Column names of a table and their SQLite types."""
        return {row[1]: row[2] for row in self.db.execute(f'PRAGMA table_info("{table}")')}

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table as they are stored, one at a time."""
        return iter(self.db.query(f'SELECT * FROM "{table}"'))

    def read(self, table: str, query: str, values: Sequence[Any] = ()) -> Iterator[Row]:
        """The rows of ``query``, each of columns of ``table``, JSON as what it says. Raises DamagedCell."""
        return (read_row(self.path, table, row) for row in self.db.query(query, values))

    def count(self, table: str) -> int:
        return int(self.db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])

    def faults(self, progress: Progress = silent) -> list[str]:
        """What SQLite finds wrong with the file, and cells that hold what they cannot; empty for a sound one."""
        try:
            problems = damage(self.connection)
            orphans = [
                f"{row[0]} holds a row without its {row[2]}" for row in self.db.execute("PRAGMA foreign_key_check")
            ]
            cells = [] if problems else list(self._damaged_cells(progress))
        except HarnessError as error:
            return [str(error.__cause__ or error)]
        return [*problems, *orphans, *cells]

    def _damaged_cells(self, progress: Progress) -> Iterator[str]:
        """Every cell of the file that holds what it cannot, in words."""
        total, done = sum(map(self.count, schema())), 0
        for table in schema():
            for row in self.rows(table):
                yield from damage_of(table, row)
                done += 1
                if done % SELDOM == 0 or done == total:
                    progress("check: rows", done, total)

    def vacuum(self) -> None:
        """Give back the room of deleted rows."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.vacuum()

    def backup(self, file: Path) -> None:
        """A consistent copy, also while others write; ``file`` is there when it is whole and sound.

        Raises Damaged where this file is damaged, and the copy would be.
        """
        try:
            with replacing(file) as part, contextlib.closing(connect(part)) as copy:
                self.connection.backup(copy)
                copy.path = self.path  # its faults are this file's
                if problems := damage(copy):
                    raise damaged(self.path, "; ".join(problems[:5]))
        except HarnessError as error:
            raise type(error)(f"{file} could not be made, and is not there: {error}") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that the block does, or nothing; what it reads stays true until its end."""
        if self._identity and _identity(self.path) != self._identity:  # SQLite would write to the file that is gone
            raise HarnessError(
                f"{self.path} was removed, moved or replaced while it was in use. Put it back, and "
                "run the same command again: what it held is where it is now."
            )
        with transaction(self.connection) as connection:
            yield connection

    def write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run ``statement`` once a row, in one transaction."""
        with self.transaction() as connection:
            connection.executemany(statement, map(storable, rows))

    def select(self, query: str, values: Sequence[Any]) -> list[Row]:
        """The rows of ``query`` as dictionaries."""
        return list(self.db.query(query, values))


def damage(db: Connection) -> list[str]:
    """What is wrong with the pages of a file, every one of which is read; empty for a sound one. Raises HarnessError
    where SQLite stops at the first."""
    return [row[0] for row in db.execute("PRAGMA integrity_check") if row[0] != "ok"]


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies at ``path``; None for none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def storable(values: Sequence[Any]) -> tuple[Any, ...]:
    """``values`` as a row: halves of characters, which an endpoint may send and no file holds, become their escapes."""
    return tuple(
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and not value.isascii() else value
        for value in values
    )


def dump(value: Any) -> str:
    """``value`` as the JSON of a column; what JSON does not have becomes its text."""
    return json.dumps(value, default=str)


def now() -> str:
    """The time as it is stored: UTC, ISO, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
