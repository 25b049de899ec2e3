"""What a folder holds after a command: the rows of its results file and its files, without what time alone changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = dict[str, list[dict[str, Any]]]
"""The rows of each table."""

PASSING = ("activity", "claim", "sqlite_sequence")
"""Tables of what is under way."""
VOLATILE = {"created", "seconds", "training_seconds", "id", "reference_cached"}
"""Columns, and fields of JSON columns, that differ between two runs which do the same: times, and whether the reference
was computed now or by the run that was killed.
"""
RENAMED = {("reply", "run"): "judge_run", ("verdict", "run"): "judge_run"}
"""Columns by what a migration calls them: a file that could not be migrated has lost nothing."""
LOGS = "logs"
OF_THE_FILES_TIME = re.compile(r"(cache/pairs/)[0-9a-f]{24}")
"""What a file of pairs was read as is kept by the time of the file, which `demo` writes itself."""
OF_SQLITE = (".sqlite-wal", ".sqlite-shm", ".sqlite-journal")


@dataclass(frozen=True)
class Observed:
    """The rows, the relative paths of all files, and the hashes of those whose bits count."""

    rows: Rows
    files: frozenset[str]
    hashes: Mapping[str, str]


def observe(folder: Path, db: str, exact: Iterable[str]) -> Observed:
    """Look at ``folder``; ``exact``: globs of the files that must be the same to the bit."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    kept = [f for f in files if not (f.name.endswith(OF_SQLITE) or LOGS in f.parts)]
    names = numbered(OF_THE_FILES_TIME.sub(r"\1KEY", str(f.relative_to(folder))) for f in kept)
    hashes = {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for glob in exact
        for file in sorted(folder.glob(glob))
        if file.is_file()
    }
    return Observed(rows_of(folder / db), names, hashes)


def numbered(names: Iterable[str]) -> frozenset[str]:
    """``names``, of which the second of one name is another: "KEY (2)". A file too many is not hidden by its twin."""
    counts = Counter(names)
    return frozenset(
        name if number == 1 else f"{name} ({number})" for name in counts for number in range(1, counts[name] + 1)
    )


def rows_of(db: Path) -> Rows:
    """All rows of the results file as the next reader would find them. The file itself is not touched."""
    if not db.exists():
        return {}
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in ("", "-wal", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{db}{suffix}", f"{scratch}/copy{suffix}")
        with contextlib.closing(sqlite3.connect(f"{scratch}/copy")) as connection:
            connection.row_factory = sqlite3.Row
            query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            tables = [row[0] for row in connection.execute(query) if row[0] not in PASSING]
            found = {table: [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')] for table in tables}
    keys = {row["id"]: row["key"] for row in found.get("evaluation", [])}
    for row in found.get("verdict", []):
        row["evaluation"] = keys.get(row["evaluation"])
    return {table: [steady(_renamed(table, row)) for row in rows] for table, rows in found.items()}


def _renamed(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {RENAMED.get((table, name), name): value for name, value in row.items()}


def steady(row: Mapping[str, Any]) -> dict[str, Any]:
    """``row`` without what time alone changes, also inside its JSON."""
    return {name: _inside(value) for name, value in row.items() if name not in VOLATILE}


def _inside(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, dict):
        return {name: _inside(each) for name, each in value.items() if name not in VOLATILE}
    return [_inside(each) for each in value] if isinstance(value, list) else value


def missing(earlier: Rows, later: Rows) -> list[str]:
    """The rows of ``earlier`` that ``later`` does not hold, in words. It may have more columns."""
    gone = []
    for table, rows in earlier.items():
        columns = rows[0].keys() if rows else ()
        held = {_text(row, columns) for row in later.get(table, [])}
        gone += [f"{table}: {text[:300]}" for text in (_text(row, columns) for row in rows) if text not in held]
    return gone


def different(expected: Rows, found: Rows) -> list[str]:
    """Rows of either that the other does not hold, in words."""
    return [f"lacks {text}" for text in missing(expected, found)] + [f"has {text}" for text in missing(found, expected)]


def scores_of_failures(rows: Rows) -> list[str]:
    """Verdicts that have both an error and values; those of the official rule, which counts failures, aside."""
    failed = [v for v in rows.get("verdict", []) if v["error"]]
    return [f"verdict: {_text(v, v)[:300]}" for v in failed if any(not n.startswith("official_") for n in v["values"])]


def _text(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    return json.dumps({name: row.get(name) for name in columns}, sort_keys=True, default=repr)
