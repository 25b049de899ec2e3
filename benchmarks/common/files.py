"""Reading a benchmark's data files: every error names the file and the row, and says what was expected."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.util import digests
from harness.util.jsonl import iter_jsonl
from harness.util.options import unstorable


def find(root: Path, *names: str) -> Path | None:
    """The first of ``root/name`` that is a file."""
    return next((root / name for name in names if (root / name).is_file()), None)


def need(root: Path, *names: str, what: str) -> Path:
    """The first of ``root/name`` that is a file; a DataError listing all names if none is."""
    path = find(root, *names)
    if path is None:
        raise DataError(f"{root}: {what} not found; expected {' or '.join(names)} in this directory.")
    return path


def read_text(path: Path) -> str:
    """The UTF-8 text of ``path`` (a byte order mark is dropped)."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read {path}: {error}") from error


def read_json(path: Path) -> Any:
    """The JSON value of ``path``."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON at line {error.lineno}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}.") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON array, or of JSON lines where the name ends in .jsonl."""
    if path.suffix == ".jsonl":
        return [row for _, row in iter_jsonl(path)]
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a JSON array of objects, found {type(rows).__name__}.")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{path} row {index}: expected an object, found {type(row).__name__}.")
    return rows


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a parquet file."""
    import pyarrow
    import pyarrow.parquet

    try:
        return list(pyarrow.parquet.read_table(path, use_threads=False).to_pylist())
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable parquet file ({error}).") from error


def read_tsv(path: Path) -> list[dict[str, str]]:
    """The rows of a table with tabs between, by its header; a cell may hold an image."""
    csv.field_size_limit(sys.maxsize)
    rows = []
    for number, row in enumerate(csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter="\t")):
        if None in row or None in row.values():
            raise DataError(f"{path} row {number}: its number of cells is not the header's.")
        rows.append(dict(row))
    return rows


def field_of(row: Mapping[str, Any], name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """``row[name]``, which must be there and of type ``kind``; ``where`` names file and row in the message."""
    if name not in row:
        raise DataError(f"{where}: field {name!r} is missing.")
    if not isinstance(row[name], kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(k.__name__ for k in kinds)
        raise DataError(f"{where}: field {name!r} should be {expected}, found {type(row[name]).__name__}.")
    if isinstance(row[name], str):
        readable(row[name], f"{where}: field {name!r}")
    return row[name]


def readable(text: str, what: str) -> str:
    """``text``, which UTF-8 and SQLite can hold. Raises DataError: JSON and Python can spell half a character."""
    if fault := unstorable(text):
        raise DataError(f"{what} is no text: {fault}.")
    return text


def strings_of(row: Mapping[str, Any], name: str, where: str) -> list[str]:
    """``row[name]``, which must be a list of strings."""
    values = field_of(row, name, list, where)
    if not all(isinstance(value, str) for value in values):
        raise DataError(f"{where}: field {name!r} should hold strings only.")
    return [readable(value, f"{where}: field {name!r}") for value in values]


def notes(root: Path, official: Mapping[tuple[str, ...], str]) -> list[str]:
    """What differs from the official files: ``official`` maps the names a file may have to its pin."""
    differing = []
    for names, pin in official.items():
        path = find(root, *names)
        if path is None:
            differing.append(f"{names[0]}: absent")
        elif not digests.fits(path, pin):
            found, wanted = (short(digest) for digest in (digests.actual(path, pin), pin))
            differing.append(f"{path.name}: not the official file ({found}, official {wanted.partition(' ')[2]})")
    return differing


def official_part(what: str, path: Path | None, pin: str, name: str, instead: str) -> tuple[str, str, str]:
    """The file ``name`` behind official figures, as a part of ``unofficial``: the official one only if its digest fits.

    ``instead``: what is used where there is no such file.
    """
    if path is None:
        return what, instead, name
    if digests.fits(path, pin):
        return what, name, name
    return what, f"{path.name}, {short(digests.actual(path, pin))}", name


def short(pin: str) -> str:
    """What kind of digest it is, in words, and its first twelve characters."""
    kind, _, digest = pin.partition(":")
    return f"{'git' if kind == 'git' else 'sha256'} {digest[:12]}"


def plain_name(name: str, where: str) -> str:
    """``name``, which must be a file name and no path: what data name is fetched and written under it."""
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise DataError(f"{where}: {name!r} is no file name of letters, digits, '.', '_' and '-'.")
    return name


def count_note(name: str, rows: int, official: int) -> list[str]:
    """A note where a file has another number of rows than the official one."""
    return [] if rows == official else [f"{name}: {rows} rows, official {official}"]
