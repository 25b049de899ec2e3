"""The pictures of a benchmark and of preference pairs, and which of them are the same: test data in training data."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness.protocols.benchmark import Sample
from harness.protocols.conversation import Image
from harness.protocols.progress import Progress, silent
from harness.util.array_store import ArrayStore, Saving
from harness.util.likeness import WORDS, Print, coco_number, distinctive, nearest, print_of
from harness.util.options import content_key
from harness.util.paths import cache_dir
from harness.util.pool import cores

How = Literal["coco", "file", "look", "name"]
HOW: Mapping[How, str] = {
    "coco": "COCO's number in the names", "file": "the same bytes", "look": "looks alike",
    "name": "the same name, not compared",
}  # fmt: skip
"""What two pictures are the same by. A name that is not COCO's counts only where one of the two cannot be read."""
CHUNK = 256
"""Pictures that threads read at a time; none is kept."""
THREADS = cores(16)


@dataclass(frozen=True)
class Picture:
    """One picture and who it belongs to.

    Args:
        image: the picture.
        owners: ids of the samples, or of the pairs, that it is shown with.
        keys: what it is known by in results (``key_in_results``), of a benchmark's.
    """

    image: Image
    owners: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Its file, or the first sample or pair that holds it."""
        return str(self.image.path) if self.image.path else f"in {self.owners[0]}"


@dataclass(frozen=True)
class Shared:
    """A benchmark's picture that is among those of the pairs.

    ``how`` says by what, the surest first; ``distance``: the bits in which the nearest look differs, None where none
    looks alike. ``pairs``: the ids of the pairs that show it.
    """

    picture: Picture
    pairs: tuple[str, ...]
    how: tuple[How, ...]
    distance: int | None


def key_in_results(group: str, path: str | Path | None) -> str:
    """What a benchmark's picture is known by in results files: its group, or its sample's id, and its file's name."""
    return f"{group}/{Path(path).name if path else ''}"


def pictures_of(samples: Iterable[Sample]) -> list[Picture]:
    """The pictures that ``samples`` ask about, each once, in their order."""
    owners: dict[Image, list[str]] = defaultdict(list)
    keys: dict[Image, dict[str, None]] = defaultdict(dict)
    for sample in samples:
        if sample.image is not None and (sample.image.path or sample.image.data):
            owners[sample.image].append(sample.id)
            keys[sample.image][key_in_results(sample.image_group, sample.image.path)] = None
    return [Picture(image, tuple(ids), tuple(keys[image])) for image, ids in owners.items()]


def prints_of(pictures: Sequence[Picture], step: str, progress: Progress = silent) -> list[Print]:
    """What each picture is recognised by; of one that is not there nothing.

    Threads read and decode, some at a time; what is known of a file is kept under ``$DAMA_HOME``/cache/likeness and
    holds while the file is the same.
    """
    store = ArrayStore(cache_dir("likeness") / "1", _packed, _unpacked)
    keys = [_key(picture.image) for picture in pictures]
    known = store.read({key for key in keys if key})
    missing = dict.fromkeys(
        (key, picture.image) for key, picture in zip(keys, pictures, strict=True) if key and key not in known
    )
    done = len(pictures) - len(missing)
    waiting = iter(missing)
    with Saving(store) as saving, ThreadPoolExecutor(THREADS) as pool:
        while chunk := list(itertools.islice(waiting, CHUNK)):
            read = zip(chunk, pool.map(lambda placed: _read(placed[1]), chunk), strict=True)
            made = {key: found for (key, _), found in read if found is not None}
            saving.add(made)
            known |= made
            done += len(chunk)
            progress(step, done, len(pictures))
    return [known.get(key, Print()) for key in keys]


def _key(image: Image) -> str:
    """The name under which the print of an image is kept; "" of a file that is not there."""
    if image.data is not None:
        return content_key("data", image.data)
    try:
        state = image.path.stat() if image.path else None
    except OSError:
        return ""
    return content_key(str(image.path), state.st_size, state.st_mtime_ns) if state else ""


def _read(image: Image) -> Print | None:
    try:
        return print_of(image.read())
    except OSError:  # gone, or a folder
        return None


def _packed(prints: Sequence[Print]) -> dict[str, Any]:
    looks = [np.zeros(WORDS, np.uint64) if each.look is None else each.look for each in prints]
    seen = [each.look is not None for each in prints]
    return {
        "digest": np.array([each.digest for each in prints], "S64"),
        "look": np.stack(looks),
        "seen": np.array(seen),
    }


def _unpacked(arrays: Mapping[str, Any]) -> list[Print]:
    digests, looks, seen = arrays["digest"].astype(str).tolist(), arrays["look"], arrays["seen"]
    return [Print(digest, look if there else None) for digest, look, there in zip(digests, looks, seen, strict=True)]


def shared_pictures(
    asked: Sequence[Picture], asked_prints: Sequence[Print], trained: Sequence[Picture], trained_prints: Sequence[Print]
) -> list[Shared]:
    """Those of a benchmark's pictures that are among the pairs' (``trained``), in their order."""
    found: dict[int, dict[int, set[How]]] = defaultdict(lambda: defaultdict(set))
    nearest_of: dict[int, int] = {}
    for row, other, how in _same_by_name_or_bytes(asked, asked_prints, trained, trained_prints):
        found[row][other].add(how)
    ours, theirs = _looks(asked_prints), _looks(trained_prints)
    for row, other, bits in nearest(ours[1], theirs[1]):
        found[ours[0][row]][theirs[0][other]].add("look")
        nearest_of[ours[0][row]] = min(bits, nearest_of.get(ours[0][row], bits))
    shared = []
    for row in sorted(found):
        hows = set().union(*found[row].values())
        pairs = dict.fromkeys(owner for other in sorted(found[row]) for owner in trained[other].owners)
        shared.append(Shared(asked[row], tuple(pairs), tuple(h for h in HOW if h in hows), nearest_of.get(row)))
    return shared


def _same_by_name_or_bytes(
    asked: Sequence[Picture], asked_prints: Sequence[Print], trained: Sequence[Picture], trained_prints: Sequence[Print]
) -> Iterator[tuple[int, int, How]]:
    known: dict[tuple[str, str], list[int]] = defaultdict(list)
    for other, (picture, made) in enumerate(zip(trained, trained_prints, strict=True)):
        for mark in _marks(picture, made):
            known[mark].append(other)
    for row, (picture, made) in enumerate(zip(asked, asked_prints, strict=True)):
        for mark in _marks(picture, made):
            for other in known.get(mark, ()):
                if mark[0] == "name" and made.digest and trained_prints[other].digest:
                    continue  # their contents say whether they are the same
                yield row, other, mark[0]  # type: ignore[misc]


def _marks(picture: Picture, made: Print) -> list[tuple[str, str]]:
    """What two equal pictures have in common, by the kind of it."""
    name = picture.image.path.stem if picture.image.path else ""
    marks = [("coco", coco_number(name)), ("file", made.digest), ("name", distinctive(name))]
    return [(kind, value) for kind, value in marks if value]


def _looks(prints: Sequence[Print]) -> tuple[list[int], Any]:
    """The positions of the prints that have a look, and the looks, [n, WORDS]."""
    rows = [i for i, each in enumerate(prints) if each.look is not None]
    looks = [each.look for each in prints if each.look is not None]
    return rows, np.stack(looks) if looks else np.zeros((0, WORDS), np.uint64)
