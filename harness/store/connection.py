"""Connections to the results file. What SQLite cannot do there is a HarnessError: what happened, what to do."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from harness.errors import HarnessError, Transient
from harness.util.secrets import hidden_values

WAIT = 60.0
"""Seconds that a write waits for another program's; the harness's own writes take milliseconds."""
RETRY = 0.05
"""Seconds between attempts at what SQLite does not wait for by itself."""

Result = TypeVar("Result")
Mode = Literal["rwc", "rw", "ro", "unlocked", "immutable"]
"""How a file is opened: made if absent; to write; to read; so without locks; to read what nobody writes."""

KEPT = "What was stored before is kept"
FAILURES = {
    sqlite3.SQLITE_FULL: f"there is no room left to write to it. {KEPT}: make room, and run the same command again.",
    sqlite3.SQLITE_READONLY: f"it cannot be written (file, folder or disk are read-only, or it was removed). {KEPT}: "
    "make it writable, or name a copy of it with --db.",
    sqlite3.SQLITE_IOERR: f"the disk failed it ({{error}}). {KEPT} as far as the disk holds it: look after the disk "
    "(is it full?), and run the same command again.",
    sqlite3.SQLITE_CANTOPEN: "it, or a file beside it that SQLite needs, cannot be opened or made ({error}). See that "
    "its folder is there and can be written, or name another file with --db.",
    sqlite3.SQLITE_CORRUPT: "it is damaged ({error}). Save what can be read into a new file with `db rescue FILE`.",
    sqlite3.SQLITE_NOTADB: "that is no results file ({error}). Name another with --db.",
}
"""What a primary result code of SQLite means for who uses the file, and what to do."""


class Locked(Transient):
    """Another program holds the results file."""


class Unwritable(Transient):
    """The results file, or a file that SQLite needs beside it, cannot be written here."""


class Damaged(HarnessError):
    """The results file holds pages that are no part of a database."""


class NoDatabase(Damaged):
    """The file does not begin as a database does."""


def failure(path: Path, error: sqlite3.Error) -> HarnessError:
    """The error of SQLite at ``path`` as one that a user can act on."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(
            f"{path} is locked by another program (a database browser with unsaved changes?), also after "
            f"{WAIT:.0f} seconds. Save or close it there, then run the same command again: what is stored is kept."
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return Unwritable(f"{path}: {FAILURES[code].format(error=error)}")
    if "Could not decode" in str(error):  # a text that holds no text: of a page that was written over
        return damaged(path, "a text is not UTF-8")
    if code in FAILURES:
        kind = NoDatabase if code == sqlite3.SQLITE_NOTADB else Damaged
        return kind(f"{path}: {FAILURES[code].format(error=error)}")
    return HarnessError(f"{path}: {error}. {KEPT}; `db check` says whether the file is sound.")


def damaged(path: Path, how: str) -> Damaged:
    """The error for a file at ``path`` that is damaged; ``how`` says what was found."""
    return Damaged(f"{path}: {FAILURES[sqlite3.SQLITE_CORRUPT].format(error=how)}")


class Cursor(sqlite3.Cursor):
    """A cursor whose errors are those of ``failure``. No secret that this process knows is stored or asked for."""

    connection: Connection

    def execute(self, statement: str, values: Any = ()) -> Self:
        self.connection.named(super().execute, statement, hidden_values(values))
        return self

    def executemany(self, statement: str, rows: Iterable[Any]) -> Self:
        self.connection.named(super().executemany, statement, map(hidden_values, rows))
        return self

    def executescript(self, *arguments: Any) -> Self:
        self.connection.named(super().executescript, *arguments)
        return self

    def fetchone(self) -> Any:
        return self.connection.named(super().fetchone)

    def fetchall(self) -> list[Any]:
        return self.connection.named(super().fetchall)

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.DatabaseError as error:
            raise failure(self.connection.path, error) from error


class Connection(sqlite3.Connection):
    """A connection to the results file at ``path``."""

    path: Path

    def cursor(self, factory: Any = Cursor) -> Any:
        return super().cursor(factory)

    # Of cursors made in another way sqlite3 keeps a reference each until the connection is closed: days, in a long run.
    def execute(self, *arguments: Any) -> Cursor:
        cursor: Cursor = self.cursor()
        return cursor.execute(*arguments)

    def executemany(self, *arguments: Any) -> Cursor:
        cursor: Cursor = self.cursor()
        return cursor.executemany(*arguments)

    def executescript(self, *arguments: Any) -> Cursor:
        cursor: Cursor = self.cursor()
        return cursor.executescript(*arguments)

    def commit(self) -> None:
        self.named(super().commit)

    def backup(self, target: sqlite3.Connection, **options: Any) -> None:
        self.named(super().backup, target, **options)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return self.named(super().__exit__, kind, error, trace)

    def named(self, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        """Call ``function``; an error of SQLite's names the file, and what to do."""
        try:
            return function(*arguments, **options)
        except sqlite3.ProgrammingError:  # a fault of ours, not of the file
            raise
        except sqlite3.DatabaseError as error:
            raise failure(self.path, error) from error


def connect(path: Path, mode: Mode = "rwc", **options: Any) -> Connection:
    """A connection to ``path``; the options are those of ``sqlite3.connect``. It raises HarnessErrors, see above."""
    asked = {"unlocked": "mode=ro&nolock=1", "immutable": "mode=ro&immutable=1"}.get(mode, f"mode={mode}")
    try:
        # As a URI, so that no name has a meaning of its own (":memory:"), and quoted, so that "?" and "#" have none.
        uri = f"{path.absolute().as_uri()}?{asked}"
        connection = sqlite3.connect(uri, timeout=WAIT, factory=Connection, uri=True, **options)
    except sqlite3.Error as error:
        raise failure(path, error) from error
    connection.path = path
    return connection


def log_ahead(db: Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait by itself for others that open the same new file."""
    end = time.monotonic() + WAIT
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except Locked:
            if time.monotonic() > end:
                raise
            time.sleep(RETRY)
