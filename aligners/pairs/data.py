"""Preference pairs as they are trained on, and the loading of them from files and the hub."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligners.pairs.chat_templates import PLACES, begins_as_a_turn, control_token
from aligners.pairs.formats import READ, Wording, read_row
from aligners.pairs.images import ImageSource, check
from aligners.pairs.messages import turns
from aligners.pairs.pair import Pair, as_json, from_json
from aligners.pairs.prepared import Stored, prepared, prepared_facts
from aligners.pairs.reading import Reading
from aligners.pairs.report import counted, described, left_out, report_of
from aligners.pairs.rows import BadRow, NoPreference, Place, Row, visible
from aligners.pairs.sources import Rows, open_rows, sources_of
from aligners.pairs.where import matching
from harness.errors import DataError
from harness.protocols.conversation import MARK
from harness.protocols.progress import Progress, silent
from harness.util.inside import VARIABLE
from harness.util.options import content_key
from harness.util.pool import cores

__all__ = ["Pair", "PairSet", "load_pairs", "pairs_identity"]

CHUNK = 64
"""Rows that threads read and decode at a time."""
THREADS = cores(16)
"""That read and decode: one process of a machine does it for all, with the machine's cores."""
Changes = dict[Path | None, list[str]]
"""Of images that were opened, by their files: what that changed of them."""
DOWNLOADS = 16
"""Threads where images come by URL."""


@dataclass(frozen=True)
class PairSet:
    """Pairs in file order, a hash of their ids and contents, and counts worth showing (``report``)."""

    pairs: list[Pair]
    content_hash: str
    report: dict[str, Any]


def load_pairs(
    source: str | Path,
    limit: int | None = None,
    *,
    skip_bad: bool = False,
    reading: Reading | None = None,
    progress: Progress = silent,
) -> PairSet:
    """Read preference pairs.

    ``source`` is a file, a directory or a hub id (see pairs.sources), in any of the layouts of pairs.formats.
    ``limit`` keeps the first so many, of the rows that meet the conditions of ``reading.where``. Every image is opened
    once, when the data are read the first time; what came of it is kept, so that later runs and the other processes of
    a machine take it from there while the data and images are the same files. No pair holds an image in memory. A pair
    equal to an earlier one is dropped; ``report`` says what was dropped and why.
    Raises DataError naming the file and row: missing columns, a text that is none or empty, equal responses,
    an unreadable image, no pair with an image, nothing in it. With ``skip_bad`` such rows are dropped and reported too.
    """
    reading = reading or Reading()
    made = prepared(*_way_to(source, limit, skip_bad, reading, progress))
    facts = made.facts
    pairs = [from_json(line) for line in made.lines]
    progress("pairs", len(pairs), len(pairs), "; ".join(described(facts["report"])))
    if not reading.text_only and not any(pair.images for pair in pairs):
        raise DataError(
            f"{source}: no pair has an image; columns {', '.join(facts['found'])}. Name the images' column with "
            "--columns image=NAME, or set text_only=true to train on text alone."
        )
    return PairSet(pairs, facts["hash"], facts["report"])


def pairs_identity(
    source: str | Path,
    limit: int | None = None,
    *,
    skip_bad: bool = False,
    reading: Reading | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """What ``load_pairs`` of the same arguments reports as "read": hashes of the pairs and of each further column.

    Where the files are as they were when they were last read, none is opened. Raises as ``load_pairs``.
    """
    facts = prepared_facts(*_way_to(source, limit, skip_bad, reading or Reading(), progress))
    return dict(facts["report"]["read"])


def _way_to(
    source: str | Path, limit: int | None, skip_bad: bool, reading: Reading, progress: Progress
) -> tuple[str, Callable[[], Stored]]:
    """The key under which the pairs of ``source`` are kept, and what reads them."""
    folders = tuple(Path(part) for part in sources_of(source) if Path(part).is_dir())
    images = dataclasses.replace(reading.image_source, data=folders)
    rows = open_rows(source, reading.split, reading.subset)
    asked = {field.name: getattr(reading, field.name) for field in dataclasses.fields(Reading)}
    given = (dict(rows.columns or {}), asked, limit, skip_bad, os.environ.get(VARIABLE, ""))
    key = content_key("pairs-6", str(source), rows.identity, *given)
    return key, lambda: _load(source, rows, reading, images, limit, skip_bad, progress)


def _load(
    source: str | Path,
    rows: Rows,
    reading: Reading,
    images: ImageSource,
    limit: int | None,
    skip_bad: bool,
    progress: Progress,
) -> Stored:
    """The pairs to use and what there is to say of them."""
    rows = matching(rows, str(source), reading.where, progress)
    dropped: dict[str, list[str]] = {}
    looked_at: list[Path] | None = []
    pairs: list[Pair] = []
    seen: set[str] = set()
    found: dict[str, None] = {}
    checked: Changes = {}
    total = rows.total()
    for read, (place, row, pair) in enumerate(_read(rows, reading.wording, images, checked), start=1):
        if len(pairs) == limit:
            break
        progress("pairs", read, max(read + 1, min(limit or total, total)))
        found |= dict.fromkeys(map(str, row))
        if isinstance(pair, BadRow):
            if not skip_bad and not isinstance(pair, NoPreference):
                raise pair.refused()
            dropped.setdefault(pair.reason, []).append(str(place))
            if pair.files is None:
                looked_at = None
            elif looked_at is not None:
                looked_at += pair.files
        elif pair.content in seen:
            dropped.setdefault("equal to an earlier pair", []).append(str(place))
        else:
            seen.add(pair.content)
            pairs.append(pair)
    if not pairs:
        raise DataError("; ".join([f"{source}: there are no pairs in it", *left_out(counted(dropped))]))
    _require_answers(source, pairs)
    pairs, repeated = _unique_ids(pairs)
    read_as = {"hash": content_hash(pairs), "columns": _column_hashes(pairs)}
    report = {**report_of(source, rows.notes, pairs, repeated, dropped, checked), "read": read_as}
    facts = {"hash": read_as["hash"], "report": report, "found": [*found]}
    if looked_at is not None:
        looked_at += [image.path for pair in pairs for image in pair.images if image.path]
    return Stored(facts, [as_json(pair) for pair in pairs], looked_at)


def _require_answers(source: str | Path, pairs: Sequence[Pair]) -> None:
    """Raise DataError where the answers of most pairs begin with what is no part of them, which is trained too."""
    begun = [(pair, said) for pair in pairs if (said := begins_as_a_turn(pair.question, pair.chosen, pair.rejected))]
    if len(begun) * 2 > len(pairs):
        (first, said), *_ = begun
        raise DataError(
            f"{source}: in {len(begun)} of {len(pairs)} pairs chosen and rejected both begin with {said} (first: pair "
            f"{first.id}, {first.chosen[:60]!r}), which would be trained as a part of the answer. Take it out of them."
        )


def content_hash(pairs: Sequence[Pair]) -> str:
    """Hash of the ids and contents of ``pairs``, in order."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.id}\0{pair.content}\n".encode())
    return digest.hexdigest()


def _column_hashes(pairs: Sequence[Pair]) -> dict[str, str]:
    """A hash of the values of each of the data's own columns, which some objectives need."""
    names = sorted({name for pair in pairs for name in pair.columns})
    return {name: content_key("column", [pair.columns.get(name) for pair in pairs]) for name in names}


def _unique_ids(pairs: list[Pair]) -> tuple[list[Pair], int]:
    """``pairs`` with ids that are not repeated, and how many were: RLAIF-V's are unique, a merged file's may not be."""
    repeated = len(pairs) - len({pair.id for pair in pairs})
    if repeated:
        pairs = [dataclasses.replace(pair, id=f"{n}:{pair.id}", digest=pair.content) for n, pair in enumerate(pairs)]
    return pairs, repeated


def _read(
    rows: Rows, wording: Wording, images: ImageSource, checked: Changes
) -> Iterator[tuple[Place, Row, Pair | BadRow]]:
    """Every row as a pair, or what is wrong with it; threads decode the images, which ``checked`` then holds."""
    described_as = rows.columns or {}

    def read(placed: tuple[Place, Row]) -> tuple[Place, Row, Pair | BadRow]:
        place, row = placed
        columns = {ours: theirs for ours, theirs in described_as.items() if theirs in row} | dict(wording.columns)
        try:
            return place, row, _pair(row, place, dataclasses.replace(wording, columns=columns), images, checked)
        except BadRow as error:
            return place, row, error

    with ThreadPoolExecutor(DOWNLOADS if images.urls else THREADS) as pool:
        for chunk in _chunks(rows.rows):
            yield from pool.map(read, chunk)


def _chunks(rows: Iterable[tuple[Place, Row]]) -> Iterator[list[tuple[Place, Row]]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk


def _pair(row: Row, place: Place, wording: Wording, images: ImageSource, checked: Changes) -> Pair:
    """``row`` as a pair whose images have been opened once, now or before (``checked``). Raises BadRow."""
    read = read_row(row, place, wording)
    if visible(read.chosen) == visible(read.rejected):
        raise BadRow(place, "chosen and rejected are equal: there is no preference. Remove the row.")
    for name, text in (("chosen", read.chosen), ("rejected", read.rejected)):
        if MARK in text:
            raise BadRow(place, f"{name} holds {MARK}, which would be taken for an image.")
    said = [("the prompt", message.text) for message in read.prompt]
    for name, text in (("chosen", read.chosen), ("rejected", read.rejected), ("the prefix", read.prefix), *said):
        if found := control_token(text):
            raise BadRow(place, f"{name} holds {found}, a control token of a chat template. Take it out of the text.")
        if unfilled := PLACES.search(text):
            raise BadRow(place, f"{name} holds {unfilled[0]}, a place that is not filled in. Write it out.")
    prompt = turns(read.prompt, read.images, lambda value: images.open(value, place), place)
    read_as = READ | set(wording.columns.values())
    columns = {name: row[name] for name in row if name not in read_as and isinstance(row[name], int | float | str)}
    pair = Pair(read.id or place.number, prompt, read.chosen, read.rejected, read.prefix, columns, read.ends)
    for image in pair.images:
        if image.path not in checked:
            checked[image.path] = check(image, place)
    return dataclasses.replace(pair, digest=pair.content)
