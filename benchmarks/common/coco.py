"""COCO 2014 ground truth: instance categories and captions of given images."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common.files import field_of, find, need, read_text, strings_of
from benchmarks.common.sources import COCO_IMAGES
from harness.errors import DataError
from harness.util.jsonl import iter_jsonl

SPLITS = ("train2014", "val2014")
ANNOTATIONS = f"{COCO_IMAGES}/annotations/annotations_trainval2014.zip"
IMAGE_FOLDERS = ("val2014", "images", "image")
"""Where val2014's images may lie in a data directory."""


def image_folder(root: Path) -> Path:
    """The folder of ``root`` that holds images of val2014; the first of the names where none is there."""
    return next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), root / IMAGE_FOLDERS[0])


def val_file(key: str) -> str:
    """The name of the image ``key`` ("42") in val2014."""
    return f"COCO_val2014_{int(key):012d}.jpg"


def image_ids(root: Path) -> list[str]:
    """The ids of the images that ground_truth.jsonl, or else instances_val2014.json, is about."""
    single = find(root, "ground_truth.jsonl")
    if single is not None:
        rows = ((f"{single} line {number}", row) for number, row in iter_jsonl(single))
        ids = [image_key(field_of(row, "image_id", (int, str), where)) for where, row in rows]
    else:
        single = need(
            root,
            *(f"{folder}instances_val2014.json" for folder in ("", "annotations/")),
            what="COCO's val2014 instances",
        )
        try:
            ids = [image_key(row["id"]) for row in _array(read_text(single), "images")]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(f"{single}: not a COCO annotation file ({error!r} while reading its images).") from error
    strange = next((key for key in ids if not key.isdecimal()), None)
    if strange is not None:
        raise DataError(f"{single}: {strange!r} is no COCO image id; a number is expected.")
    return list(dict.fromkeys(ids))


@dataclass
class ImageFacts:
    """What COCO knows of an image; ``instances`` are category names."""

    instances: set[str] = field(default_factory=set)
    captions: list[str] = field(default_factory=list)


def image_key(value: Any) -> str:
    """An image id as a string: 42, "42", "000000000042" and ".../COCO_val2014_000000000042.jpg" are the same image."""
    text = str(value)
    number = re.fullmatch(r"([0-9]+)", text) or re.search(r"(?<![0-9])([0-9]+)\.(?:jpg|jpeg|png)$", text, re.IGNORECASE)
    return number[1].lstrip("0") or "0" if number else text


def image_key_of(row: Mapping[str, Any], where: str) -> str:
    """The image of a row of questions, by the first of the columns that name it."""
    for name in ("image_id", "image_url", "image_path"):
        if isinstance(row.get(name), int | str):
            return image_key(row[name])
    raise DataError(f"{where}: field 'image_id' (a COCO id) is missing.")


def read_facts(root: Path, wanted: Collection[str]) -> dict[str, ImageFacts]:
    """Facts of the ``wanted`` images, from ground_truth.jsonl or COCO's files in ``root`` or ``root/annotations``.

    Raises DataError where a split has instances and no captions, or captions and no instances.
    """
    single = find(root, "ground_truth.jsonl")
    if single is not None:
        return _from_single(single, wanted)
    facts = {key: ImageFacts() for key in wanted}
    read = [_add_split(path, facts) for split in SPLITS for path in _of_split(root, split)]
    if not read:
        raise DataError(
            f"{root}: no ground truth found; expected COCO 2014's captions_{{train,val}}2014.json and "
            "instances_{train,val}2014.json here or in annotations/, or one ground_truth.jsonl of "
            '{"image_id", "instances", "captions"}.'
        )
    return {key: fact for key, fact in facts.items() if fact.captions or fact.instances}


def _of_split(root: Path, split: str) -> list[Path]:
    """Both files of a split, or none: without its captions an image would show less than it does."""
    names = [f"{kind}_{split}.json" for kind in ("instances", "captions")]
    paths = {name: find(root, name, f"annotations/{name}") for name in names}
    missing = [name for name, path in paths.items() if path is None]
    if len(missing) == 1:
        raise DataError(f"{root}: {missing[0]} is missing; CHAIR needs both instances and captions of {split}.")
    return [path for path in paths.values() if path is not None]


def _from_single(path: Path, wanted: Collection[str]) -> dict[str, ImageFacts]:
    facts = {}
    for number, row in iter_jsonl(path):
        where = f"{path} line {number}"
        key = image_key(field_of(row, "image_id", (int, str), where))
        if key in facts:
            raise DataError(f"{where}: image {key} stands above already: keep one row of what it shows.")
        if key in wanted:
            facts[key] = ImageFacts(set(strings_of(row, "instances", where)), strings_of(row, "captions", where))
    return facts


def _add_split(path: Path, facts: dict[str, ImageFacts]) -> Path:
    """Add one COCO file to ``facts``: instances_*.json has categories, captions_*.json captions, and neither the other.

    Of a file that is another one every image would show less than it does: that is refused.
    """
    text, captions = read_text(path), path.name.startswith("captions")
    try:
        names = {} if captions else {category["id"]: category["name"] for category in _array(text, "categories")}
        for row in _array(text, "annotations"):
            if (fact := facts.get(str(row["image_id"]))) is None:
                continue
            if captions:
                fact.captions.append(_text(row["caption"]))
            else:
                fact.instances.add(_text(names[row["category_id"]]))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a COCO annotation file ({error!r} while reading its rows).") from error
    return path


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a caption or name is {type(value).__name__}, not text")
    return value


def _array(text: str, name: str) -> Iterator[Any]:
    """The elements of the array called ``name`` in a JSON object, one at a time; ValueError where it is absent.

    instances_train2014.json is 450 MB, and several GB as Python objects: so only one row is ever held.
    """
    start = re.search(rf'"{name}"\s*:\s*\[\s*', text)
    if start is None:
        raise ValueError(f"it has no array {name!r}")
    at, decoder = start.end(), json.JSONDecoder()
    while text[at] != "]":
        row, at = decoder.raw_decode(text, at)
        yield row
        between = _BETWEEN.match(text, at)
        if between is None:
            raise ValueError(f"the array {name!r} breaks off at character {at}")
        at = between.end()


_BETWEEN = re.compile(r"\s*,\s*|\s*(?=\])")


def questions_file(root: Path, official: str) -> Path:
    """The file of questions: by its ``official`` name, else the only *.jsonl whose rows ask about images."""
    named = find(root, official)
    if named is not None:
        return named
    candidates = [path for path in sorted(root.glob("*.jsonl")) if _asks(path)]
    if len(candidates) != 1:
        present = f"found {', '.join(path.name for path in candidates)}" if candidates else "found none"
        raise DataError(f"{root}: expected {official}, or one *.jsonl with `question` and `image_id`; {present}.")
    return candidates[0]


def _asks(path: Path) -> bool:
    row = next((row for _, row in iter_jsonl(path)), {})
    return (
        "question" in row and "chosen" not in row and bool({"image_id", "image_url", "image", "image_path"} & set(row))
    )
