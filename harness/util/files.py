"""Files that are whole or not there, and JSON files that say what is wrong with them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError

BOM = b"\xef\xbb\xbf"
"""A byte order mark, as editors on Windows put it before UTF-8."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes the place of ``path`` when the block ends, and goes if that fails.

    So a reader sees the old content or the new, also after a kill or a full disk. Several processes may do it at once;
    the last one's stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())  # else a power cut may leave an empty file under the name
        part.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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
    for file in part.rglob("*"):
        if file.is_file():
            with file.open("rb") as written:
                os.fsync(written.fileno())
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all; its folder is made. Raises OSError."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all; its folder is made. Raises OSError."""
    with replacing(path) as part:
        part.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all; what JSON does not have becomes its text."""
    write_text(path, json.dumps(value, indent=2, default=str, ensure_ascii=False))


def parse_json(content: bytes | str, where: str, expected: str = "JSON") -> Any:
    """The value of a JSON text. Raises DataError, which says ``where`` it stands and what was ``expected``."""
    try:
        return json.loads(content.removeprefix(BOM).decode() if isinstance(content, bytes) else content)
    except json.JSONDecodeError as error:
        place = (f"line {error.lineno}, " if error.lineno > 1 else "") + f"column {error.colno}"
        raise DataError(f"{where}: not valid JSON ({error.msg}, {place}); expected {expected}.") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of a million digits, too deeply nested
        raise DataError(f"{where}: not valid JSON ({error}); expected {expected}.") from error


def read_json(path: Path, expected: str = "JSON") -> Any:
    """The value of the JSON file at ``path``. Raises DataError that names the file, the fault and what was expected."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}; expected {expected}.") from error
    return parse_json(content, str(path), expected)


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
