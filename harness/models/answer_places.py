"""Which question of a benchmark a row of a file of answers is about, where the row has no id of the benchmark's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import DataError
from harness.protocols.benchmark import Sample

_COCO = re.compile(r"(?:COCO_[a-z]+[0-9]{4}_)?0*([0-9]+)")
"""An image of COCO, by its number or its file's name."""


@dataclass(frozen=True)
class Row:
    """A row that is known by its place alone: where it stands and what it says was asked.

    ``image`` and ``number``: the image and the number of the question, "" where it does not say them.
    """

    where: str
    question: str
    image: str = ""
    number: str = ""


def plain(text: str) -> str:
    """A question without the mark of its image and the space in it."""
    return " ".join(text.replace("<image>", " ").split())


def asks(asked: Sequence[str], part: Sequence[Sample]) -> bool:
    """Whether ``asked`` begins with the questions of ``part``, with or without what a benchmark puts after them."""
    prompts = [plain(sample.prompt) for sample in part]
    begun = zip(asked, prompts, strict=False)
    return len(asked) >= len(prompts) and all(one and (one in other or other in one) for one, other in begun)


def image_key(name: str) -> str:
    """The image that ``name`` names: a number of COCO's or a file, without folder, ending and leading zeros."""
    stem = PurePosixPath(name).stem
    match = _COCO.fullmatch(stem)
    return match[1] if match else stem


def is_about_another(row: Row, sample: Sample, samples: Sequence[Sample]) -> bool:
    """Whether ``row`` names another image than that of ``sample``, which is one of ``samples``."""
    if not row.image or not sample.group or image_key(row.image) == image_key(sample.group):
        return False
    return not _named_otherwise([row], samples)


def _named_otherwise(rows: Iterable[Row], samples: Sequence[Sample]) -> bool:
    """Whether ``rows`` name images in a way of their own (MMHal-Bench's by address or number), which says nothing.

    Only where most questions are asked once: they say by themselves that the rows are about these images.
    """
    known = {image_key(sample.group) for sample in samples}
    once = len({plain(sample.prompt) for sample in samples}) * 2 > len(samples)
    return once and not any(image_key(row.image) in known for row in rows)


def by_spelling(ids: Sequence[str], samples: Sequence[Sample]) -> dict[str, str]:
    """Sample ids by those of ``ids`` that spell them otherwise (``00011``, ``COCO_val2014_000000000011.jpg``); {} where
    not all do."""
    known = {image_key(sample.id): sample.id for sample in samples}
    of = {id_: known.get(image_key(id_), "") for id_ in ids}
    return of if "" not in of.values() and len(set(of.values())) == len(of) else {}


def by_captioned(images: Sequence[str], samples: Sequence[Sample]) -> dict[str, str]:
    """Sample ids by the images that captions are of; an image of no sample, or named twice, is kept as "image ...".

    {} where the samples' ids are their images', or several ask of one image: then the captions' are the samples' ids.
    """
    of_image = {image_key(sample.group): sample.id for sample in samples if sample.group}
    if len(of_image) < len(samples) or all(image_key(id_) == image for image, id_ in of_image.items()):
        return {}
    return {image: of_image.pop(image_key(image), f"image {image}") for image in images}


def by_saying(rows: Mapping[str, Row], samples: Sequence[Sample]) -> dict[str, str]:
    """Sample ids by the keys of ``rows``, which say the image or the number of their question: several processes leave
    rows in an order of their own. {} where they do not say it, or name images otherwise, or several questions have one.

    Raises DataError for a row that is about another image than any question, or about a question answered before.
    """
    named = all(row.image for row in rows.values()) and all(sample.group for sample in samples)
    if named and not _named_otherwise(rows.values(), samples):
        return _by_image(rows, samples)
    known = {sample.id: sample for sample in samples}
    numbers = {key: row.number for key, row in rows.items()}
    fits = all(row.number in known and asks([plain(row.question)], [known[row.number]]) for row in rows.values())
    return numbers if fits and len(set(numbers.values())) == len(numbers) else {}


def _by_image(rows: Mapping[str, Row], samples: Sequence[Sample]) -> dict[str, str]:
    of_image: dict[str, list[Sample]] = {}
    for sample in samples:
        of_image.setdefault(image_key(sample.group), []).append(sample)
    found: dict[str, str] = {}
    for key, row in rows.items():
        asked = [plain(row.question)]
        fitting = [sample.id for sample in of_image.get(image_key(row.image), []) if asks(asked, [sample])]
        if len(fitting) > 1:
            return {}
        found[key] = fitting[0] if fitting else ""
    taken: set[str] = set()
    for key, id_ in found.items():
        if not id_ or id_ in taken:
            what = "is answered before" if id_ else "is none of the data's"
            row = rows[key]
            raise DataError(f"{row.where}: the question {row.question[:80]!r} about the image {row.image!r} {what}.")
        taken.add(id_)
    return found
