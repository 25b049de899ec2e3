"""`export`: every table of the store as JSONL or parquet, for one's own analysis."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import unknown_name
from harness.store import Store
from harness.util.files import replacing
from harness.util.json_safe import json_safe
from harness.util.names import one_entry
from harness.util.places import make_folder, require_no_folder

STRUCTURED = frozenset(
    {"data", "settings", "decoding", "metrics", "info", "values", "details", "config", "usage", "replies", "record"}
)
"""Columns that hold JSON: objects in JSONL, JSON text in parquet (their keys differ from row to row). NaN is null."""

ROWS_PER_WRITE = 5_000


def export(store: Store, folder: Path, kind: str = "jsonl", tables: Sequence[str] = ()) -> dict[str, int]:
    """Write ``tables`` (default: all) as ``folder``/TABLE.``kind``; returns the rows of each.

    Raises UsageError for an unknown table, and where something else is in the place of a folder or file.
    """
    known = store.tables()
    for name in tables:
        if name not in known:
            raise unknown_name("table", name, known)
    files = {name: make_folder(folder) / one_entry(f"{name}.{kind}") for name in tables or known}
    for file in files.values():
        require_no_folder(file)
    write = {"jsonl": _write_jsonl, "parquet": _write_parquet}[kind]
    return {name: write(store, name, file) for name, file in files.items()}


def _write_jsonl(store: Store, table: str, file: Path) -> int:
    count = 0
    with replacing(file) as part, part.open("w", encoding="utf-8") as out:
        for row in store.rows(table):
            parsed = json_safe({k: _parsed(v) if k in STRUCTURED else v for k, v in row.items()})
            text = json.dumps(parsed, ensure_ascii=False, allow_nan=False)
            out.write(text.encode("utf-8", "replace").decode() + "\n")
            count += 1
    return count


def _write_parquet(store: Store, table: str, file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"INTEGER": pa.int64(), "REAL": pa.float64()}
    schema = pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in store.columns(table).items()])
    count = 0
    with replacing(file) as part, part.open("wb") as stream, pq.ParquetWriter(stream, schema) as out:
        for rows in _batches(store.rows(table)):
            valid = [{k: _valid(v) if k in STRUCTURED else v for k, v in row.items()} for row in rows]
            out.write_table(pa.Table.from_pylist(valid, schema=schema))
            count += len(rows)
    return count


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_PER_WRITE:
            yield batch
            batch = []
    if batch:
        yield batch


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _valid(text: str | None) -> str | None:
    """Stored JSON without the words NaN and Infinity, which no other reader of JSON knows."""
    if text is None or not ("NaN" in text or "Infinity" in text):
        return text
    return json.dumps(json_safe(json.loads(text)), allow_nan=False)
