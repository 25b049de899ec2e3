"""Files of rows: JSON lines, JSON arrays, CSV, parquet and arrow, read row by row where their form allows it."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aligners.pairs.rows import Place, Row
from harness.errors import DataError
from harness.util.files import BOM
from harness.util.jsonl import iter_jsonl
from harness.util.other_kind import LOOKED_AT, other_kind

BATCH = 64
"""Rows of a parquet file in memory at a time; one of them may hold megabytes of images."""
COLUMNS = {"chosen", "rejected", "rejected_response", "y_lose"}
"""Columns of which one is in all data: an object of them is no list of rows by names."""
STREAMED = 1 << 20
"""Bytes of a parquet column read ahead, so that a file of one row group of gigabytes is not read whole."""


@dataclass(frozen=True)
class Table:
    """How a kind of file is read: about how many rows it has, and the rows.

    ``columns`` gives the rows with some of their columns, without reading the others; a file without any of them gives
    its names, empty. None for a kind of file that is read row by row.
    """

    count: Callable[[Path], int]
    rows: Callable[[Path], Iterator[tuple[Place, Row]]]
    columns: Callable[[Path, Collection[str]], Iterator[Row]] | None = None

    def scan(self, file: Path, names: Collection[str]) -> Iterator[Row]:
        """The rows, with the columns ``names`` at least."""
        return self.columns(file, names) if self.columns else (row for _, row in self.rows(file))


def _line_count(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(partial(stream.read, 1 << 22), b"")) + 1


def _jsonl_rows(file: Path) -> Iterator[tuple[Place, Row]]:
    for number, row in iter_jsonl(file, "one JSON object a line (an array is a file that ends in .json)"):
        yield Place(f"{file} line {number}", file.parent, str(number)), row


def _json_count(file: Path) -> int:
    return 0  # known when it is read


def _json_rows(file: Path) -> Iterator[tuple[Place, Row]]:
    """An array of objects; an object that holds lists of them, or one, by the images' numbers; or JSON lines."""
    try:
        content = file.read_bytes().removeprefix(BOM)
        value = json.loads(content)
    except OSError as error:
        raise DataError(f"Cannot read {file}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        if content.lstrip().startswith(b"{") and "Extra data" in str(error):
            yield from _jsonl_rows(file)
            return
        why = other_kind(content) or f"not valid JSON ({error})"
        raise DataError(f"{file}: {why}; expected an array of objects.") from error
    del content
    rows = _by_image(value, file) if isinstance(value, Mapping) else value
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        found = f", found an object of {', '.join(map(repr, value))[:80]}" if isinstance(value, Mapping) else ""
        raise DataError(f"{file}: expected an array of objects, or objects by the image's number{found}.")
    number = 0
    for row in rows:
        for each in _unpacked(row):
            yield Place(f"{file} row {number}", file.parent, str(number)), each
            number += 1


def _by_image(value: Mapping[str, Any], file: Path) -> list[Any] | None:
    """{image number: [rows] or row} as rows with ``image_id`` (SENTINEL, HA-DPO's descriptions), or one list by a name.

    Raises DataError for several lists by names, which may be what to train and what to test on.
    """
    if COLUMNS & value.keys() and all(isinstance(held, list | Mapping) for held in value.values()):
        raise DataError(f"{file}: it holds columns; expected rows, which pandas' to_json writes with orient='records'.")
    lists = {name: held if isinstance(held, list) else [held] for name, held in value.items()}
    if not all(isinstance(row, Mapping) for rows in lists.values() for row in rows):
        return None
    named = [name for name in lists if not name.isdecimal()]
    if named and len(lists) > 1:
        raise DataError(
            f"{file}: it holds {len(lists)} lists of rows, {', '.join(map(repr, named[:5]))} among them: expected one, "
            "or lists by the images' numbers. Write the one to train on to a file of its own."
        )
    return [row if named else {"image_id": name, **row} for name, rows in lists.items() for row in rows]


def _unpacked(row: Row) -> Sequence[Row]:
    """HA-DPO's descriptions, lists of chosen and of rejected texts of one image: every pair of them, as it trains."""
    chosen, rejected = row.get("chosen"), row.get("rejected")
    lists = all(isinstance(texts, list) and all(isinstance(t, str) for t in texts) for texts in (chosen, rejected))
    if not lists or not chosen or not rejected or "image_id" not in row or "question" in row:
        return [row]
    return [{**row, "chosen": one, "rejected": other} for one in chosen for other in rejected]


def _csv_rows(file: Path) -> Iterator[tuple[Place, Row]]:
    csv.field_size_limit(sys.maxsize)  # a cell may hold an image
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, delimiter="\t" if kind_of(file) == ".tsv" else ",", strict=True)
            _require_header(rows.fieldnames or (), file)
            for number, row in enumerate(rows):
                if None in row or None in row.values():
                    raise DataError(f"{file} row {number}: its number of cells is not the header's.")
                yield Place(f"{file} row {number}", file.parent, str(number)), {k: v for k, v in row.items() if v != ""}
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not readable as CSV in UTF-8 ({error}).") from error


def _require_header(names: Sequence[str], file: Path) -> None:
    """Raise DataError where two columns have one name, or the whole header is one."""
    if twice := [name for name, count in Counter(filter(None, names)).items() if count > 1]:
        raise DataError(f"{file}: two columns are called {twice[0]!r}: which one is meant? Rename the other.")
    if len(names) == 1 and (other := next((mark for mark in ";\t|," if mark in names[0]), "")):
        raise DataError(f"{file}: its header {names[0][:80]!r} is one column: are cells divided by {other!r}?")


def _parquet_count(file: Path) -> int:
    import pyarrow.parquet as pq

    with readable(file), pq.ParquetFile(file) as table:
        return int(table.metadata.num_rows)


def _parquet_rows(file: Path) -> Iterator[tuple[Place, Row]]:
    import pyarrow.parquet as pq

    number = 0
    with readable(file), pq.ParquetFile(file, buffer_size=STREAMED, pre_buffer=False) as table:
        for batch in table.iter_batches(batch_size=BATCH, use_threads=False):
            for row in batch.to_pylist():
                yield Place(f"{file} row {number}", file.parent, str(number)), row
                number += 1


def _parquet_columns(file: Path, names: Collection[str]) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with readable(file), pq.ParquetFile(file, buffer_size=STREAMED, pre_buffer=False) as table:
        there = [name for name in table.schema_arrow.names if name in names]
        if not there:
            yield from [dict.fromkeys(table.schema_arrow.names)] * table.metadata.num_rows
            return
        for batch in table.iter_batches(columns=there, use_threads=False):
            yield from batch.to_pylist()


def _arrow_count(file: Path) -> int:
    with _arrow_batches(file) as batches:
        return sum(batch.num_rows for batch in batches)


def _arrow_rows(file: Path) -> Iterator[tuple[Place, Row]]:
    number = 0
    with _arrow_batches(file) as batches:
        for batch in batches:
            batch.validate(full=True)  # offsets that lead out of a damaged file end the process
            for start in range(0, batch.num_rows, BATCH):
                for row in batch.slice(start, BATCH).to_pylist():
                    yield Place(f"{file} row {number}", file.parent, str(number)), row
                    number += 1


def _arrow_columns(file: Path, names: Collection[str]) -> Iterator[Row]:
    with _arrow_batches(file) as batches:
        for batch in batches:
            there = [name for name in batch.schema.names if name in names]
            some = batch.select(there)
            some.validate(full=True)
            yield from some.to_pylist() if there else [dict.fromkeys(batch.schema.names)] * batch.num_rows


@contextlib.contextmanager
def _arrow_batches(file: Path) -> Iterator[Iterator[Any]]:
    """The record batches of an IPC stream (what ``save_to_disk`` and the hub's cache write) or of an IPC file."""
    import pyarrow as pa

    with readable(file), pa.memory_map(str(file)) as source:
        try:
            yield iter(pa.ipc.open_stream(source))
        except pa.ArrowInvalid:
            source.seek(0)
            reader = pa.ipc.open_file(source)
            yield (reader.get_batch(number) for number in range(reader.num_record_batches))


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # texts and dates that are none
        why = str(error)
        with contextlib.suppress(OSError), file.open("rb") as stream:
            why = other_kind(stream.read(LOOKED_AT)) or why
        raise DataError(f"{file}: not a readable {kind_of(file).removeprefix('.')} file ({why}).") from error


def kind_of(file: Path) -> str:
    """The ending of its name, by which ``TABLES`` knows how it is read."""
    return file.suffix.lower()


TABLES: Mapping[str, Table] = {
    ".jsonl": Table(_line_count, _jsonl_rows),
    ".json": Table(_json_count, _json_rows),
    ".csv": Table(_line_count, _csv_rows),
    ".tsv": Table(_line_count, _csv_rows),
    ".parquet": Table(_parquet_count, _parquet_rows, _parquet_columns),
    ".arrow": Table(_arrow_count, _arrow_rows, _arrow_columns),
}
"""By the ending of the file's name (``kind_of``)."""
EXPECTED = "a .jsonl, .json, .csv, .tsv, .parquet or .arrow file"
