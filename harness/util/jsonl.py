"""JSON lines: the one reader, and a writer. Every error names the file and the line, and says what was expected."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.util.files import parse_json, write_text


def iter_jsonl(
    path: Path, expected: str = "one JSON object a line", *, once: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of every line that is not blank, as they are read; ``expected`` is for messages.

    ``once``: an object that gives a key twice is refused.
    """
    for number, row in iter_values(path, expected, once=once):
        if not isinstance(row, dict):
            raise DataError(f"{path} line {number}: expected {expected}, found {type(row).__name__}.")
        yield number, row


def iter_values(
    path: Path, expected: str = "one JSON value a line", *, once: bool = False
) -> Iterator[tuple[int, Any]]:
    """(line number from 1, JSON value) of every line that is not blank, as they are read.

    Lines end in a line feed alone: a text may hold U+2028. A byte order mark is dropped, also in the middle, where
    files were joined.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, parse_json(line.strip(), f"{path} line {number}", expected, once=once)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise DataError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.") from error


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one object a line."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
