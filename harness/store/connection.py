"""Connections to the results file: one that another program keeps locked is waited for, then named."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

WAIT = 60.0
"""Seconds that a write waits for another program's; the harness's own writes take milliseconds."""


class Connection(sqlite3.Connection):
    """A connection to the results file at ``path``."""

    path: Path

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        with self._lock_named():
            return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        with self._lock_named():
            return super().executemany(*arguments)

    def executescript(self, *arguments: Any) -> sqlite3.Cursor:
        with self._lock_named():
            return super().executescript(*arguments)

    @contextlib.contextmanager
    def _lock_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            raise Locked(
                f"{self.path} is locked by another program (a database browser with unsaved changes?), also after "
                f"{WAIT:.0f} seconds. Save or close it there, then run the same command again: what is stored is kept."
            ) from error


class Locked(HarnessError):
    """Another program holds the results file."""


def connect(path: Path, **options: Any) -> Connection:
    """A connection to ``path``; the options are those of ``sqlite3.connect``. It raises Locked, see above."""
    connection = sqlite3.connect(path, timeout=WAIT, factory=Connection, **options)
    connection.path = path
    return connection
