"""Files that are whole or not there, and JSON files that say what is wrong with them."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import functools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.util.other_kind import other_kind
from harness.util.places import make_folder, placing, require_no_file, require_no_folder
from harness.util.secrets import hide_known

BOM = codecs.BOM_UTF8
"""A byte order mark, as editors on Windows put it before UTF-8."""
DATABASE = b"SQLite format 3\0"
"""How a file begins that SQLite made."""
PART = re.compile(r"\..+\.[a-z0-9_]{8}\.part", re.DOTALL)
"""Names of what is being written."""


class Taken(UsageError):
    """Another process made the same folder meanwhile."""


@contextlib.contextmanager
def replacing(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes the place of ``path`` when the block ends, and goes if that fails.

    So a reader sees the old content or the new, also after a kill or a full disk. Several processes may do it at once;
    the last one's stays. A link is followed; what is no file (/dev/stdout) is written to as it is. Without
    ``synced`` the disk is not waited for: of thousands of files that can be had again.
    Raises HarnessError as ``placing`` does.
    """
    with placing(path):
        path = path.resolve() if path.is_symlink() else path
        special = path.exists() and not path.is_file() and not path.is_dir()
        require_no_folder(path)
    if special:
        yield path
        return
    with _beside(path, _temporary_file) as part:
        yield part
        if synced:
            with part.open("rb") as written:
                os.fsync(written.fileno())  # else a power cut may leave an empty file under the name
        part.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        part.replace(path)


@contextlib.contextmanager
def making(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``folder`` when the block ends, and goes if that fails.

    Raises Taken if there is something in ``folder`` then, HarnessError as ``placing`` does.
    """
    with placing(folder):
        folder = folder.resolve()
        require_no_file(folder)
    with _beside(folder, _temporary_folder) as part:
        made = part / "made"
        made.mkdir()
        yield made
        _sync(made)
        if folder.is_dir() and any(folder.iterdir()):
            raise Taken(f"{folder}: there is something in it already; name another directory.")
        try:
            made.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
            for each in made.iterdir():  # another disk is mounted there, which nothing can replace
                shutil.move(each, folder)


def _temporary_file(prefix: str, suffix: str, dir: Path) -> str:
    handle, name = tempfile.mkstemp(suffix, prefix, dir)
    os.close(handle)
    return name


def _temporary_folder(prefix: str, suffix: str, dir: Path) -> str:
    return tempfile.mkdtemp(suffix, prefix, dir)


@contextlib.contextmanager
def _beside(path: Path, make: Callable[[str, str, Path], str]) -> Iterator[Path]:
    """Something of a name of its own beside ``path``, locked while the block lasts and gone at its end.

    What a killed process left there is removed: nobody holds its lock.
    """
    make_folder(path.parent)
    sweep(path.parent.absolute())
    while True:
        with placing(path):
            part = Path(make(f".{path.name[:100]}.", ".part", path.parent))
        try:
            lock = os.open(part, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another process swept it before it was opened
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if part.exists():
            break
        os.close(lock)  # or before it was locked
    try:
        yield part
    finally:
        _remove(part)
        os.close(lock)


@functools.cache  # once a process: caches write thousands of files into one folder
def sweep(folder: Path) -> None:
    """Remove what killed processes left in ``folder``."""
    for left in [entry for entry in folder.iterdir() if PART.fullmatch(entry.name)]:
        with contextlib.suppress(OSError):  # it is being written, was removed meanwhile, or is another user's
            lock = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
            finally:
                os.close(lock)


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        return
    for suffix in ("-journal", "-wal", "-shm", ""):  # SQLite's own, if that writes it
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the disk hold every file in ``folder``, so that a power cut leaves no empty ones."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as written:
                os.fsync(written.fileno())


def part_of(folder: Path) -> Path:
    """The folder beside ``folder`` that is written to before ``put_in_place``."""
    return folder.with_name(f".{folder.name}.part")


def emptied(folder: Path) -> Path:
    """``folder``, made and empty: what a killed process left there goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def put_in_place(part: Path, folder: Path) -> None:
    """Let the written ``part`` be ``folder``, in place of what was there: a reader never sees one that is half made."""
    _sync(part)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all, without known secrets; its folder is made.

    Raises HarnessError where there is no room for it (``placing``), OSError.
    """
    write_bytes(path, hide_known(text).encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all; its folder is made. Raises HarnessError, OSError, UsageError
    where a database is there: it may be the results of weeks.
    """
    _require_no_database(path)
    with replacing(path) as part:
        part.write_bytes(content)


def _require_no_database(path: Path) -> None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        begins = os.read(file, len(DATABASE)) if path.is_file() else b""
    except (OSError, ValueError):  # nothing is there, or nothing to be read: whoever writes will say so
        return
    if begins == DATABASE:  # left open: to close it would give up the locks that SQLite has on it in this process
        raise UsageError(f"{path} is an SQLite file, as results are kept in, and not written over: name another file.")
    os.close(file)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all; what JSON does not have becomes its text."""
    write_text(path, json.dumps(value, indent=2, default=str, ensure_ascii=False))


def parse_json(content: bytes | str, where: str, expected: str = "JSON", *, once: bool = False) -> Any:
    """The value of a JSON text. Raises DataError, which says ``where`` it stands and what was ``expected``.

    ``once``: an object that gives a key twice is refused; else the last value stands.
    """
    hook = functools.partial(_object_of, where=where) if once else None
    if isinstance(content, bytes) and content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{where}: it is in UTF-16 (PowerShell's `>` writes that); expected {expected} in UTF-8.")
    try:
        text = content.removeprefix(BOM).decode() if isinstance(content, bytes) else content
        return json.loads(text, object_pairs_hook=hook)
    except json.JSONDecodeError as error:
        place = (f"line {error.lineno}, " if error.lineno > 1 else "") + f"column {error.colno}"
        raise DataError(f"{where}: {_fault(content, f'{error.msg}, {place}')}; expected {expected}.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of a million digits, too deeply nested
        raise DataError(f"{where}: {_fault(content, str(error))}; expected {expected}.") from error


def _fault(content: bytes | str, error: str) -> str:
    """Why ``content`` is no JSON: what it is instead, where its beginning says so."""
    return (other_kind(content) if isinstance(content, bytes) else "") or f"not valid JSON ({error})"


def _object_of(pairs: list[tuple[str, Any]], where: str) -> dict[str, Any]:
    """An object that has each of its keys once. Raises DataError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key in found if sum(other == key for other, _ in pairs) > 1)
        raise DataError(f"{where}: the key {twice[:80]!r} is given twice in one object; keep one of the two.")
    return found


def read_json(path: Path, expected: str = "JSON", *, once: bool = False) -> Any:
    """The value of the JSON file at ``path``. Raises DataError that names the file, the fault and what was expected.

    ``once``: see ``parse_json``.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise DataError(f"Cannot read {path}: {why}; expected {expected}.") from error
    return parse_json(content, str(path), expected, once=once)


def read_object(path: Path, expected: str = "a JSON object") -> dict[str, Any]:
    """The JSON object in the file at ``path``. Raises DataError, also for a value of another kind."""
    value = read_json(path, expected)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected {expected}, found {type(value).__name__}.")
    return value


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
