"""Where preference pairs are read from: JSON lines, parquet, a data set of the hub."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.util.jsonl import iter_jsonl

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """About ``total`` rows, each as (where it stands, the folder that image paths are relative to, its columns)."""

    total: int
    rows: Iterator[tuple[str, Path, Row]]


def open_rows(source: str | Path) -> Rows:
    """The rows of a .jsonl or .parquet file, of the train.jsonl or *.parquet of a directory, or of a data set's hub id.

    Raises DataError for what is none of these; for a file that cannot be read as its rows are taken.
    """
    path = Path(source)
    if path.is_dir():
        files = [path / "train.jsonl"] if (path / "train.jsonl").exists() else sorted(path.rglob("*.parquet"))
        if not files:
            raise DataError(f"{path}: expected train.jsonl or *.parquet in this directory.")
    elif path.exists():
        files = [path]
    elif path.suffix in {".jsonl", ".parquet"} or str(source).count("/") != 1:
        raise DataError(f"{source}: there is no such file. Give a .jsonl or .parquet file, a directory or a hub id.")
    else:
        return _hub_rows(str(source))
    total = sum(_parquet_count(file) if file.suffix == ".parquet" else _line_count(file) for file in files)
    return Rows(total, itertools.chain.from_iterable(map(_file_rows, files)))


def _file_rows(file: Path) -> Iterator[tuple[str, Path, Row]]:
    return _parquet_rows(file) if file.suffix == ".parquet" else _jsonl_rows(file)


def _line_count(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(partial(stream.read, 1 << 22), b"")) + 1


def _jsonl_rows(file: Path) -> Iterator[tuple[str, Path, Row]]:
    for number, row in iter_jsonl(file):
        yield f"{file} line {number}", file.parent, row


def _parquet_count(file: Path) -> int:
    import pyarrow.parquet as pq

    with _readable(file), pq.ParquetFile(file) as table:
        return int(table.metadata.num_rows)


def _parquet_rows(file: Path) -> Iterator[tuple[str, Path, Row]]:
    import pyarrow.parquet as pq

    number = 0
    with _readable(file), pq.ParquetFile(file) as table:
        for batch in table.iter_batches(batch_size=64):
            for row in batch.to_pylist():
                yield f"{file} row {number}", file.parent, row
                number += 1


@contextlib.contextmanager
def _readable(file: Path) -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a readable parquet file ({error}).") from error


def _hub_rows(name: str) -> Rows:
    import datasets

    try:
        table = datasets.load_dataset(name, split="train")
    except Exception as error:  # the hub client raises its transport's own errors
        raise DataError(
            f"{name}: no such file, and the hub did not give such a data set ({type(error).__name__}: {error})."
        ) from error
    if "image" in table.column_names and isinstance(table.features["image"], datasets.Image):
        table = table.cast_column("image", datasets.Image(decode=False))
    if "images" in table.column_names:
        table = table.cast_column("images", datasets.List(datasets.Image(decode=False)))
    return Rows(len(table), ((f"{name}, row {number}", Path(), row) for number, row in enumerate(table)))
