"""`export`: every table of the store as JSONL or parquet, for one's own analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UsageError, unknown_name
from harness.store import Row, Store
from harness.store.cells import damage_of, is_json
from harness.store.migrations import schema
from harness.util.files import parse_json, replacing
from harness.util.json_safe import json_text
from harness.util.names import one_entry
from harness.util.places import make_folder, require_no_folder

ROWS_PER_WRITE = 5_000
NAMED = 5
"""Cells that an error names."""


def export(store: Store, folder: Path, kind: str = "jsonl", tables: Sequence[str] = ()) -> dict[str, int]:
    """Write ``tables`` (default: all) as ``folder``/TABLE.``kind``; returns the rows of each.

    Columns that hold JSON are objects in JSONL, JSON text in parquet (their keys differ from row to row); NaN is null.
    Raises UsageError for an unknown table, and where something else is in the place of a folder or file; HarnessError,
    when all is written, for cells that hold what they cannot: they are text then, and empty where parquet has numbers.
    """
    known = store.tables()
    for name in tables:
        if name not in known:
            raise unknown_name("table", name, known)
    files = {name: make_folder(folder) / one_entry(f"{name}.{kind}") for name in tables or known}
    for file in files.values():
        require_no_folder(file)
    write = {"jsonl": _write_jsonl, "parquet": _write_parquet}[kind]
    damage: list[str] = []
    written = {name: write(_rows(store, name, damage), store, name, file) for name, file in files.items()}
    if damage:
        more = f"; and {len(damage) - NAMED} more" if len(damage) > NAMED else ""
        raise HarnessError(
            f"{store.path} is damaged: {'; '.join(damage[:NAMED])}{more}. All rows are in {folder}, these cells as "
            "they are stored (parquet has no text in place of a number: empty there)."
        )
    return written


def _rows(store: Store, table: str, damage: list[str]) -> Iterator[Row]:
    """The rows of a table; what is wrong with their cells is added to ``damage``."""
    known = table in schema()
    for row in store.rows(table):
        if known:
            damage += damage_of(table, row)
        yield {
            name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
            for name, value in row.items()
        }


def _write_jsonl(rows: Iterator[Row], store: Store, table: str, file: Path) -> int:
    count = 0
    with replacing(file) as part, part.open("w", encoding="utf-8") as out:
        for row in rows:
            text = json_text({k: _parsed(v) if is_json(k) else v for k, v in row.items()}, ensure_ascii=False)
            out.write(text.encode("utf-8", "replace").decode() + "\n")
            count += 1
    return count


def _write_parquet(rows: Iterator[Row], store: Store, table: str, file: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"INTEGER": pa.int64(), "REAL": pa.float64()}
    types = store.columns(table)
    form = pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in types.items()])
    count = 0
    with replacing(file) as part, part.open("wb") as stream, pq.ParquetWriter(stream, form) as out:
        for batch in _batches(rows):
            valid = [{k: _of_kind(types[k], _valid(v) if is_json(k) else v) for k, v in row.items()} for row in batch]
            out.write_table(pa.Table.from_pylist(valid, schema=form))
            count += len(batch)
    return count


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_PER_WRITE:
            yield batch
            batch = []
    if batch:
        yield batch


def _parsed(stored: Any) -> Any:
    """What a cell of JSON says; as it is where it is none."""
    if not isinstance(stored, str):
        return stored
    try:
        return parse_json(stored, "")
    except UsageError:
        return stored


def _valid(stored: Any) -> Any:
    """Stored JSON without the words NaN and Infinity, which no other reader of JSON knows."""
    if not isinstance(stored, str) or not ("NaN" in stored or "Infinity" in stored):
        return stored
    parsed = _parsed(stored)
    return stored if parsed is stored else json_text(parsed)


def _of_kind(kind: str, value: Any) -> Any:
    """``value`` as a column of that type has it: empty for what is no number, text elsewhere."""
    if value is None or kind not in ("INTEGER", "REAL"):
        return value if value is None else str(value)
    return value if isinstance(value, int) or (kind == "REAL" and isinstance(value, float)) else None
