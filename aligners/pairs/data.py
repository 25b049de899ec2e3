"""Preference pairs: an image, a question, a chosen and a rejected response, from JSONL, parquet or the hub."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image as PilImage

from aligners.pairs.formats import standard
from aligners.pairs.sources import Row, Rows, open_rows
from harness.errors import DataError
from harness.protocols.conversation import Image, Turn
from harness.protocols.conversation import question as ask
from harness.protocols.progress import Progress, silent
from harness.util.images import open_image, shown_otherwise

KNOWN = frozenset({"idx", "id", "image", "images", "question", "prompt", "chosen", "rejected", "text"})


@dataclass(frozen=True)
class Pair:
    """One preference: ``chosen`` is preferred to ``rejected`` as the answer to ``prompt``.

    Args:
        prompt: the conversation up to the answer; the last turn is the user's.
        prefix: what both answers begin with: given to the model, not trained on.
        columns: the data's further columns (such as scores).
    """

    id: str
    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    prefix: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def about(
        cls,
        image: Path | bytes | None,
        id: str,
        question: str,
        chosen: str,
        rejected: str,
        columns: Mapping[str, Any] | None = None,
    ) -> Pair:
        """A pair of one question about one image (a file or its encoded bytes), or about none."""
        images = () if image is None else (as_image(image),)
        return cls(id, (ask(question, *images),), chosen, rejected, columns=columns or {})

    @property
    def question(self) -> str:
        """The text of the last question."""
        return self.prompt[-1].text

    @property
    def images(self) -> tuple[Image, ...]:
        """The images of all turns, in order."""
        return tuple(image for turn in self.prompt for image in turn.images)

    def image_bytes(self) -> bytes:
        """The encoded bytes of its first image. Raises DataError naming the pair if it has none."""
        if not self.images:
            raise DataError(f"pair {self.id}: it has no image.")
        return self.images[0].read()

    def open_image(self) -> PilImage.Image:
        """Its first image in RGB. Raises DataError naming the pair if there is none or it cannot be decoded."""
        return self._opened(self.image_bytes())

    def open_images(self) -> list[PilImage.Image]:
        """Its images in RGB. Raises DataError naming the pair if one cannot be decoded."""
        return [self._opened(image.read()) for image in self.images]

    def _opened(self, data: bytes) -> PilImage.Image:
        try:
            return open_image(data)
        except ValueError as error:
            raise DataError(f"pair {self.id}: the image cannot be read ({error}).") from error

    @cached_property
    def content(self) -> str:
        """Hash of everything a model sees of the pair: the texts and the images' bytes."""
        texts = [self.question, self.chosen, self.rejected]
        if len(self.prompt) > 1 or self.prefix or len(self.images) > 1:
            said = [[part if isinstance(part, str) else 0 for part in turn.content] for turn in self.prompt]
            shape = [[turn.role for turn in self.prompt], said]
            texts += [self.prefix, json.dumps(shape)]
        digest = hashlib.sha256(json.dumps(texts).encode())
        for image in self.images:
            data = image.read()
            digest.update(data + b"shown" if shown_otherwise(data) else data)
        return digest.hexdigest()


def as_image(image: Path | bytes) -> Image:
    """An image by its file or its encoded bytes."""
    return Image(data=image) if isinstance(image, bytes) else Image(path=image)


@dataclass(frozen=True)
class PairSet:
    """Pairs in file order, a hash of their ids and contents, and counts worth showing (``report``)."""

    pairs: list[Pair]
    content_hash: str
    report: dict[str, Any]


def load_pairs(
    source: str | Path, limit: int | None = None, *, skip_bad: bool = False, progress: Progress = silent
) -> PairSet:
    """Read preference pairs.

    ``source`` is a .jsonl or .parquet file, a directory that holds train.jsonl or *.parquet, or a data set's hub id.
    Columns: image (path relative to the file, base64, bytes, or {"bytes", "path"}), question, chosen, rejected, idx;
    RLAIF-V's, RLHF-V's and TRL's layouts are read as they come (see pairs.formats). ``limit`` keeps the first so many.
    Every image is opened once. A pair equal to an earlier one is dropped; ``report["dropped"]`` says what and why.
    Raises DataError naming the file and row: missing columns, no image or several, unreadable image, equal responses,
    nothing in it. With ``skip_bad`` such rows are dropped and reported too.
    """
    pairs, dropped = _kept(open_rows(source), limit, skip_bad, progress)
    if not pairs:
        why = "".join(f" Dropped {len(rows)}: {reason}" for reason, rows in dropped.items())
        raise DataError(f"{source}: there are no pairs in it.{why}")
    ids = [pair.id for pair in pairs]
    if len(set(ids)) < len(ids):  # RLAIF-V's idx is unique, but a merged file's may not be
        pairs = [dataclasses.replace(pair, id=f"{n}:{pair.id}") for n, pair in enumerate(pairs)]
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
        "dropped": {reason: {"rows": len(rows), "first": rows[:3]} for reason, rows in dropped.items()},
    }
    return PairSet(pairs, digest.hexdigest(), report)


def _kept(
    source: Rows, limit: int | None, skip_bad: bool, progress: Progress
) -> tuple[list[Pair], dict[str, list[str]]]:
    """The pairs to use, and which rows were dropped for what reason."""
    pairs: list[Pair] = []
    dropped: dict[str, list[str]] = {}
    seen: set[str] = set()
    total = source.total if limit is None else min(limit, source.total)
    read = 0
    for where, folder, row in source.rows:
        if len(pairs) == limit:
            break
        read += 1
        progress("pairs", read, max(read, total))
        try:
            pair = _pair(row, where, folder)
        except DataError as error:
            if not skip_bad:
                raise
            dropped.setdefault(str(error).removeprefix(f"{where}: "), []).append(where)
            continue
        if pair.content in seen:
            dropped.setdefault("equal to an earlier pair", []).append(where)
            continue
        seen.add(pair.content)
        pairs.append(pair)
    progress("pairs", read, read)
    return pairs, dropped


def _pair(row: Row, where: str, folder: Path) -> Pair:
    row = standard(row, where)
    question, chosen, rejected = (str(row[name]).strip() for name in ("question", "chosen", "rejected"))
    if chosen == rejected:
        raise DataError(f"{where}: chosen and rejected are equal: there is no preference. Remove the row.")
    number = row.get("idx", row.get("id"))
    name = where.rpartition(" ")[2] if number is None else str(number)
    columns = {key: value for key, value in row.items() if key not in KNOWN}
    pair = Pair.about(_image(row["image"], where, folder), name, question, chosen, rejected, columns)
    try:
        open_image(pair.image_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: the image cannot be read ({error}). Is it complete?") from error
    return pair


def _image(value: Any, where: str, folder: Path) -> Path | bytes:
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: image: expected a path, base64, or bytes, found {type(value).__name__}.")
    # A path is short; only what cannot be a file name is worth decoding.
    if len(value) < 1024 and (folder / value).is_file():
        return (folder / value).resolve()
    try:
        return base64.b64decode(value.removeprefix("data:").partition("base64,")[2] or value, validate=True)
    except binascii.Error:
        raise DataError(f"{where}: image {value[:80]!r}: no such file under {folder}, and not base64.") from None
