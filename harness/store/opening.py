"""How the results file is opened: recognised before anything is written to it, migrated in one step, or only read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.store.connection import Connection, Damaged, NoDatabase, Unwritable, connect, damaged, log_ahead
from harness.store.first_page import holds_rows
from harness.store.migrations import MIGRATIONS, is_ours, migrate, schema, tables_of, version_of
from harness.util.files import DATABASE

LOOKS = (0.05, 0.2, 0.5)
"""Seconds before a file that seems another program's is looked at again. Another process may be making it, and what is
read without a lock is in part of before and in part of after."""


class Foreign(HarnessError):
    """The file is another program's."""


def open_to_write(path: Path) -> Connection:
    """The results file at ``path``, made if absent and brought to the newest schema. Raises HarnessError."""
    check_place(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"{path}: its folder cannot be made ({error.strerror}). Name another with --db.") from error
    _refuse_foreign(path)
    return _ready(connect(path, check_same_thread=False))


def open_to_read(path: Path) -> Connection:
    """The results file at ``path`` for reading: nothing is changed in it. Raises HarnessError.

    Where it cannot be written (a read-only share), nothing is made beside it; one of an older version is migrated in
    memory.
    """
    require_file(path)
    _refuse_foreign(path)
    db = None
    if path.stat().st_size == 0:
        return open_in_memory(path)
    if os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK):
        with contextlib.suppress(Unwritable):  # a full disk
            db = _ready(connect(path, "rw", check_same_thread=False))
    db = db or _read_only(path)
    db.execute("PRAGMA query_only = ON")
    return db


def open_in_memory(path: Path) -> Connection:
    """An empty store that is called ``path`` and leaves no file."""
    db = Connection(":memory:", check_same_thread=False)
    db.path = path
    migrate(db)
    return db


def open_as_it_is(path: Path, *, cut: bool = False) -> Connection:
    """The file at ``path`` for reading, whatever is in it; nothing is made beside it. Raises HarnessError.

    With ``cut`` also one that is shorter than its header says, which SQLite takes for damaged as a whole otherwise.

    What else is written beside it counts: a log that a killed process left.
    """
    require_file(path)
    real = path.resolve()
    has_log = any(log.exists() and log.stat().st_size for log in (_beside(real, "-wal"), _beside(real, "-journal")))
    if not has_log and _logs_ahead(path):  # nobody writes it; to open it otherwise would make files beside it
        return _readable(connect(path, "immutable", check_same_thread=False), cut)
    try:
        return _readable(connect(path, "ro", check_same_thread=False), cut)
    except Unwritable:
        return _copy_with_logs(path)


def check_place(path: Path) -> None:
    """Raise UsageError where ``path`` can be no file."""
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r}: the name of a file holds no NUL character. Name the results file with --db.")
    if path.is_dir():
        raise UsageError(f"{path} is a directory; name the results file in it, for example {path / 'results.sqlite'}.")


def require_file(path: Path) -> None:
    """Raise UsageError where there is no file at ``path``."""
    check_place(path)
    if not path.is_file():
        raise UsageError(
            f"{path}: there is no such results file. Name yours with --db, or make one: `python cli.py demo`, or "
            "`align` and `bench` with your own model."
        )


def _refuse_foreign(path: Path) -> None:
    """Raise where another program's data lie at ``path``, without touching them: no log, no lock is made.

    The file itself is only looked into where SQLite finds no database: whoever closes a file gives up all locks that
    its process holds on it (POSIX), SQLite's too. Another process that closes the store then takes itself for the last
    one, and removes the log that is written here.
    """
    if not path.exists() or path.stat().st_size == 0:
        return
    for seconds in LOOKS:
        with contextlib.suppress(Foreign):
            return _look_at(path)
        time.sleep(seconds)
    _look_at(path)


def _look_at(path: Path) -> None:
    """Raises Foreign, or Damaged where it is no SQLite file."""
    try:
        if path.stat().st_size == 1:  # SQLite takes it for an empty one, and writes over it
            raise NoDatabase(f"{path} is no database")
        with contextlib.closing(connect(path, "immutable")) as db:
            _check_ours(db)
    except NoDatabase as error:
        if not _has_header(path):
            if holds_rows(path):
                raise damaged(path, "its first page is lost, the others hold rows of ours") from error
            raise Damaged(
                f"{path} cannot be the results file: it is no SQLite file. Name another with --db."
            ) from error
    except (Damaged, Unwritable):
        return  # damaged it may seem while another writes it; it is looked at again when it is open


def is_database(path: Path) -> bool:
    """Whether the file at ``path`` begins as SQLite's do, be it damaged or not; an empty one does not.

    Raises Unwritable where it cannot be read.
    """
    try:
        with contextlib.closing(connect(path, "immutable")) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except NoDatabase:
        return _has_header(path)
    except Damaged:
        return True
    return path.stat().st_size > 1


def _has_header(path: Path) -> bool:
    """As ``is_database``, of a file that is none to SQLite: no connection is open to it, and it can be opened here."""
    with path.open("rb") as file:
        return file.read(len(DATABASE)) == DATABASE


def _check_ours(db: Connection) -> None:
    """Raises Foreign, or HarnessError where a newer version wrote it; both look at one state of the file."""
    db.execute("BEGIN")  # else its mark would be of before another process made its tables
    try:
        _require_ours(db)
    finally:
        db.execute("ROLLBACK")


def _require_ours(db: Connection) -> None:
    if not is_ours(db):
        names = ", ".join(list(tables_of(db))[:5])
        raise Foreign(
            f"{db.path} is an SQLite file of another program (its tables: {names}); nothing was written to it. "
            "Name another with --db."
        )
    if (version := version_of(db)) > len(MIGRATIONS):
        raise HarnessError(
            f"{db.path} was written by a newer version of this harness (schema {version}, known {len(MIGRATIONS)}). "
            "Upgrade the harness, or name another file with --db."
        )


def _is_current(db: Connection) -> bool:
    """Whether the file has the newest schema, all of it."""
    tables = tables_of(db)
    return version_of(db) == len(MIGRATIONS) and all(
        columns <= tables.get(name, set()) for name, columns in schema().items()
    )


def _ready(db: Connection) -> Connection:
    """Migrate a file that can be written to the newest schema. Killed at any moment, it is as before or as after."""
    try:
        _check_ours(db)  # again: what was in a log, or came just now
        if not _is_current(db):
            migrate(db)
        log_ahead(db)
        db.execute("PRAGMA foreign_keys = ON")
        # With a write-ahead log a killed process loses nothing. Syncing the disk for every reply would halve the
        # judge stage; so a power cut may cost the last moments, never the file.
        db.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        db.close()
        raise
    return db


def _read_only(path: Path) -> Connection:
    """A file that cannot be written; of an older version a copy in memory, migrated."""
    db = open_as_it_is(path)
    try:
        _check_ours(db)
        if _is_current(db):
            return db
        warnings.warn(
            f"{path} has an older schema ({version_of(db)} of {len(MIGRATIONS)}) and cannot be written: it is read as "
            "it is and migrated in memory.",
            stacklevel=2,
        )
        copy = _copied(db)
        migrate(copy)
    except BaseException:
        db.close()
        raise
    db.close()
    return copy


def _copied(db: Connection) -> Connection:
    """A copy in memory."""
    copy = Connection(":memory:", check_same_thread=False)
    copy.path = db.path
    db.backup(copy)
    return copy


def _readable(db: Connection, cut: bool = False) -> Connection:
    """``db``, after a first look into the file."""
    try:
        if cut:
            db.execute("PRAGMA writable_schema = ON")  # nothing is written: it ends the comparison with the header
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _copy_with_logs(path: Path) -> Connection:
    """A copy in memory of a file whose log SQLite cannot read where it lies."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.sqlite"
        try:
            for log in ("", "-wal", "-journal"):
                if (file := _beside(path.resolve(), log)).exists():
                    shutil.copyfile(file, _beside(copy, log))
        except OSError as error:
            raise HarnessError(f"{path} cannot be read: {error.strerror or error}.") from error
        with contextlib.closing(connect(copy, "rw")) as db:
            db.path = path
            return _copied(db)


def _beside(path: Path, log: str) -> Path:
    return path.with_name(path.name + log)


def _logs_ahead(path: Path) -> bool:
    """Whether a file is in SQLite's write-ahead mode: without locks SQLite opens no such file.

    Its header would say so too, but to open and close the file beside SQLite gives up the locks of this process.
    """
    with contextlib.closing(connect(path, "unlocked", check_same_thread=False)) as db:
        try:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except Unwritable:
            return True
        except Damaged:
            return False
    return False
