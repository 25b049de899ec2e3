"""The SQLite file itself: opened, brought to the newest schema, looked after."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from harness.errors import HarnessError
from harness.store.connection import connect
from harness.store.migrations import migrate
from harness.store.records import Row
from harness.util.paths import locked


class ResultsFile:
    """The file at ``path``, made if absent; several processes may use it at once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.db = Database(connect(self.path, check_same_thread=False))
            # Processes that open a new file at the same time must not race to create the schema.
            with locked(self.path.with_name(self.path.name + ".lock")):
                self.db.enable_wal()
                migrate(self.db, str(path))
            self.db.execute("PRAGMA foreign_keys = ON")
            # With a write-ahead log a killed process loses nothing. Syncing the disk for every reply would halve the
            # judge stage; so a power cut may cost the last moments, never the file.
            self.db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError as error:
            raise HarnessError(f"{path} cannot be the results file: {error}. Name another with --db.") from error

    def close(self) -> None:
        self.db.close()

    @property
    def schema_version(self) -> int:
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

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

    def count(self, table: str) -> int:
        return int(self.db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])

    def faults(self) -> list[str]:
        """What SQLite finds wrong with the file; empty for a sound one."""
        try:
            problems = [str(row[0]) for row in self.db.execute("PRAGMA integrity_check")]
            orphans = [
                f"{row[0]} holds a row without its {row[2]}" for row in self.db.execute("PRAGMA foreign_key_check")
            ]
        except sqlite3.DatabaseError as error:
            return [str(error)]
        return [line for line in [*problems, *orphans] if line != "ok"]

    def vacuum(self) -> None:
        """Give back the room of deleted rows."""
        self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.vacuum()

    def backup(self, file: Path) -> None:
        """A consistent copy, also while others write."""
        with contextlib.closing(sqlite3.connect(file)) as copy:
            self.db.conn.backup(copy)

    def write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run ``statement`` once a row, in one transaction."""
        with self.db.conn:
            self.db.conn.executemany(statement, rows)

    def select(self, query: str, values: Sequence[Any]) -> list[Row]:
        """The rows of ``query`` as dictionaries."""
        return list(self.db.query(query, values))


def dump(value: Any) -> str:
    """``value`` as the JSON of a column; what JSON does not have becomes its text."""
    return json.dumps(value, default=str)


def now() -> str:
    """The time as it is stored: UTC, ISO, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
