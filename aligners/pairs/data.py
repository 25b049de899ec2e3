"""Preference pairs: an image, a question, a chosen and a rejected response, from JSONL, parquet or the hub."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from aligners.pairs.formats import standard
from harness.errors import DataError
from harness.util.jsonl import iter_jsonl

KNOWN = frozenset({"idx", "id", "image", "images", "question", "prompt", "chosen", "rejected", "text"})
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """One preference: ``chosen`` is preferred to ``rejected`` as the answer to ``question`` about ``image``.

    ``image`` is a file or the encoded bytes. ``columns`` holds the data's further columns (such as scores).
    """

    id: str
    question: str
    chosen: str
    rejected: str
    image: Path | bytes
    columns: Mapping[str, Any] = field(default_factory=dict)

    def image_bytes(self) -> bytes:
        """The encoded image (JPEG, PNG...)."""
        return self.image if isinstance(self.image, bytes) else self.image.read_bytes()

    def open_image(self) -> Image.Image:
        """The image in RGB. Raises DataError naming the pair if it cannot be decoded."""
        try:
            return Image.open(io.BytesIO(self.image_bytes())).convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"pair {self.id}: the image cannot be read ({error}).") from error

    @cached_property
    def content(self) -> str:
        """Hash of everything a model sees of the pair: the texts and the image's bytes."""
        digest = hashlib.sha256(json.dumps([self.question, self.chosen, self.rejected]).encode())
        digest.update(self.image_bytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class PairSet:
    """Pairs in file order, a hash of their ids and contents, and counts worth showing (``report``)."""

    pairs: list[Pair]
    content_hash: str
    report: dict[str, Any]


def load_pairs(source: str | Path, limit: int | None = None, *, skip_bad: bool = False) -> PairSet:
    """Read preference pairs.

    ``source`` is a .jsonl or .parquet file, a directory that holds train.jsonl or *.parquet, or a data set's hub id.
    Columns: image (path relative to the file, base64, bytes, or {"bytes", "path"}), question, chosen, rejected, idx;
    RLAIF-V's, RLHF-V's and TRL's layouts are read as they come (see pairs.formats). ``limit`` keeps the first so many.
    Every image is opened once. A pair equal to an earlier one is dropped; ``report["dropped"]`` says what and why.
    Raises DataError naming the file and row: missing columns, no image or several, unreadable image, equal responses,
    nothing in it. With ``skip_bad`` such rows are dropped and reported too.
    """
    pairs: list[Pair] = []
    dropped: dict[str, list[str]] = {}
    seen: set[str] = set()
    for place, folder, row in _rows(source):
        if len(pairs) == limit:
            break
        try:
            pair = _pair(row, place, folder)
        except DataError as error:
            if not skip_bad:
                raise
            dropped.setdefault(str(error).removeprefix(f"{place}: "), []).append(place)
            continue
        if pair.content in seen:
            dropped.setdefault("equal to an earlier pair", []).append(place)
            continue
        seen.add(pair.content)
        pairs.append(pair)
    if not pairs:
        why = "".join(f" Dropped {len(places)}: {reason}" for reason, places in dropped.items())
        raise DataError(f"{source}: there are no pairs in it.{why}")
    ids = [pair.id for pair in pairs]
    if len(set(ids)) < len(ids):  # RLAIF-V's idx is unique, but a merged file's may not be
        pairs = [Pair(f"{n}:{p.id}", p.question, p.chosen, p.rejected, p.image, p.columns) for n, p in enumerate(pairs)]
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.id}\0{pair.content}\n".encode())
    words = [[len(text.split()) for text in (pair.chosen, pair.rejected)] for pair in pairs]
    report = {
        "source": str(source),
        "pairs": len(pairs),
        "chosen_words": sum(w for w, _ in words) / len(pairs),
        "rejected_words": sum(w for _, w in words) / len(pairs),
        "duplicate_ids": len(ids) - len(set(ids)),
        "dropped": {reason: {"rows": len(places), "first": places[:3]} for reason, places in dropped.items()},
    }
    return PairSet(pairs, digest.hexdigest(), report)


def _rows(source: str | Path) -> Iterator[tuple[str, Path, Row]]:
    """(where it stands, the folder image paths are relative to, row) of every row."""
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
        yield from _hub_rows(str(source))
        return
    for file in files:
        yield from _parquet_rows(file) if file.suffix == ".parquet" else _jsonl_rows(file)


def _jsonl_rows(file: Path) -> Iterator[tuple[str, Path, Row]]:
    for number, row in iter_jsonl(file):
        yield f"{file} line {number}", file.parent, row


def _parquet_rows(file: Path) -> Iterator[tuple[str, Path, Row]]:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        number = 0
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    yield f"{file} row {number}", file.parent, row
                    number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file}: not a readable parquet file ({error}).") from error


def _hub_rows(name: str) -> Iterator[tuple[str, Path, Row]]:
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
    for number, row in enumerate(table):
        yield f"{name}, row {number}", Path(), row


def _pair(row: Row, place: str, folder: Path) -> Pair:
    row = standard(row, place)
    question, chosen, rejected = (str(row[name]).strip() for name in ("question", "chosen", "rejected"))
    if chosen == rejected:
        raise DataError(f"{place}: chosen and rejected are equal: there is no preference. Remove the row.")
    number = row.get("idx", row.get("id"))
    name = place.rpartition(" ")[2] if number is None else str(number)
    columns = {key: value for key, value in row.items() if key not in KNOWN}
    pair = Pair(name, question, chosen, rejected, _image(row["image"], place, folder), columns)
    try:
        with Image.open(io.BytesIO(pair.image_bytes())) as image:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{place}: the image cannot be read ({error}). Is it complete?") from error
    return pair


def _image(value: Any, place: str, folder: Path) -> Path | bytes:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{place}: image: expected a path, base64, or bytes, found {type(value).__name__}.")
    # A path is short; only what cannot be a file name is worth decoding.
    if len(value) < 1024 and (folder / value).is_file():
        return (folder / value).resolve()
    try:
        return base64.b64decode(value.removeprefix("data:").partition("base64,")[2] or value, validate=True)
    except binascii.Error:
        raise DataError(f"{place}: image {value[:80]!r}: no such file under {folder}, and not base64.") from None
