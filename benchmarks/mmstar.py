"""MMStar: multiple-choice questions that cannot be answered without their image, in six categories of three parts each.

Paper: Chen et al. 2024 (NeurIPS), "Are We on the Right Way for Evaluating Large Vision-Language Models?". Code:
MMStar-Benchmark/MMStar `eval/vlmeval/evaluate/mmstar.py` at 88f243a. Asked without the images as well (``images=both``)
it says what they add: the multi-modal gain (MG). Officially the first characters of an answer decide (``official_*``).
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import files
from benchmarks.common.choices import LETTERS, options_of, read_choice
from benchmarks.common.sources import HUB
from harness.errors import DataError
from harness.protocols.benchmark import (
    BENCHMARKS,
    Benchmark,
    BenchmarkData,
    Decoding,
    Metric,
    Sample,
    Sums,
    Verdict,
    ratio,
)
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Source

PARQUET, TSV = "mmstar.parquet", "MMStar.tsv"
HOME = f"{HUB}/Lin-Chen/MMStar/resolve/bc98d668301da7b14f648724866e57302778ab27"
OFFICIAL_FILE = "sha256:29afd74b0134cfab083a8909b5358577ab18fd41c1e612031577cfb3635531c2"
OFFICIAL_ROWS = 1500
SOURCES: tuple[AnySource, ...] = (Source(PARQUET, f"{HOME}/{PARQUET}", OFFICIAL_FILE, "no licence stated"),)
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "coarse perception": ("image scene and topic", "image style & quality", "image emotion"),
    "fine-grained perception": ("object counting", "recognition", "localization"),
    "instance reasoning": (
        "single-instance reasoning", "cross-instance attribute reasoning", "cross-instance relation reasoning",
    ),
    "logical reasoning": ("code & sequence reasoning", "diagram reasoning", "common reasoning"),
    "science & technology": (
        "biology & chemistry & physics", "electronics & energy & mechanical eng.",
        "geography & earth science & agriculture",
    ),
    "math": ("geometry", "numeric commonsense and calculation", "statistical reasoning"),
}  # fmt: skip
"""The categories (L1) and the parts of each (L2), as the data name them."""
ASKED = {
    "letter": "\nAnswer with the option's letter from the given choices directly.",
    "direct": "\nAnswer the question directly.",
}
"""What ends a question: of LLaVA's family, and what the official code asks LLaVA-NeXT of a file whose options stand in
the question."""
SHORTER = 64
"""Characters; a shorter image of the TSV is the index of the row that holds it."""
DECODING = Decoding(max_new_tokens=32)
TEXT = "text_"
"""Begins the counts of questions that are asked without their image beside the others."""


@dataclass(frozen=True, kw_only=True)
class MMStar(Benchmark):
    """MMStar.

    Settings:
        images: ``shown``; ``none`` asks every question without its image; ``both`` asks it twice, and reports what the
            images add (MG).
        ask: how a question ends: with the request for the option's letter (``letter``) or for a direct answer.
    """

    name: ClassVar[str] = "mmstar"
    paper: ClassVar[str] = "https://arxiv.org/abs/2403.20330"
    title: ClassVar[str] = "MMStar"
    headline: ClassVar[tuple[str, ...]] = (
        "accuracy", "coarse_perception", "fine_grained_perception", "instance_reasoning", "logical_reasoning",
        "science_technology", "math", "unread", "text_accuracy", "multimodal_gain",
    )  # fmt: skip
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    ability: ClassVar[str] = "accuracy"
    metric_titles: ClassVar[Mapping[str, str]] = {
        "accuracy": "Avg",
        "coarse_perception": "CP",
        "fine_grained_perception": "FP",
        "instance_reasoning": "IR",
        "logical_reasoning": "LR",
        "science_technology": "ST",
        "math": "MA",
        "text_accuracy": "No images",
        "multimodal_gain": "MG",
    }
    trivial_answers: ClassVar[Mapping[str, str]] = {f"always {letter}": letter for letter in "ABCD"}
    image_optional: ClassVar[bool] = True
    attempts: ClassVar[int] = 1

    images: Literal["shown", "none", "both"] = "shown"
    ask: Literal["letter", "direct"] = "letter"
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return f"mmstar-1 images={self.images} ask={self.ask} parser=choice-1"

    @property
    def mode(self) -> str:
        return "the option's letter or text, what is neither is wrong"

    def load(self, root: Path) -> BenchmarkData:
        """The questions in file order, ids as their index; those without their image, of ``both``, "12:text"."""
        path = files.need(root, PARQUET, TSV, what="MMStar's questions")
        samples = [self._sample(row, where) for row, where in _rows(path)]
        notes = files.notes(root, {(path.name,): OFFICIAL_FILE}) if path.name == PARQUET else []
        notes += files.count_note(path.name, len(samples), OFFICIAL_ROWS)
        if self.images == "both":
            samples += [_without_image(sample, f"{sample.id}:text") for sample in samples]
        elif self.images == "none":
            samples = [_without_image(sample, sample.id) for sample in samples]
        return BenchmarkData(samples, self.version, unofficial(), notes)

    def _sample(self, row: Mapping[str, Any], where: str) -> Sample:
        names = ("category", "l2_category", "answer")
        data: dict[str, Any] = {name: files.field_of(row, name, str, where).strip() for name in names}
        if data["l2_category"] not in CATEGORIES.get(data["category"], ()):
            raise DataError(
                f"{where}: {data['l2_category']!r} is no part of a category {data['category']!r} of MMStar."
            )
        question = files.field_of(row, "question", str, where).strip()
        columns = {letter: str(row[letter]) for letter in LETTERS if _given(row.get(letter))}
        question += "".join(f"\n{letter}. {text}" for letter, text in columns.items())
        data["options"] = columns or options_of(question) or dict.fromkeys("ABCD", "")
        if data["answer"] not in data["options"]:
            raise DataError(f"{where}: the answer is {data['answer']!r}, the options are {', '.join(data['options'])}.")
        id_ = str(files.field_of(row, "index", (int, str), where))
        return Sample(id_, question + ASKED[self.ask], Image(data=row["image"]), {**data, "half": ""}, group=id_)

    def part(self, sample: Sample) -> str:
        return str(sample.data["l2_category"])

    def drawn_with(self, sample: Sample) -> str:
        """The question: with its image and without, what the images add is of the same ones."""
        return sample.image_group

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        read, truth = read_choice(answer, sample.data["options"]), sample.data["answer"]
        counts = _counts(sample, "", read == truth) | _counts(sample, "official_", reads_officially(answer, truth))
        counts[f"{sample.data['half']}unread"] = float(read is None)
        return Verdict(counts, details={"read": read, "truth": truth})

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        both = self.images == "both"
        unread = Metric("unread", ratio("unread", "asked"), False)
        return [*_metrics("", both), unread, *_metrics("official_", both)]


def reads_officially(answer: str, truth: str) -> bool:
    """REPRODUCE (official_*): whether an answer begins with the letter, behind "(", "option " or "the answer is "; any
    word that begins with it does ("Because", "a dog"), and an answer without these characters is wrong."""
    said, letter = answer.lower().strip().replace("\n", " "), truth.lower()
    beginnings = ("", "(", "option ", "the answer is ")
    return any(said.startswith(f"{beginning}{letter}") for beginning in beginnings)


def _given(cell: Any) -> bool:
    """Whether an option's cell holds something: data frames write NaN for nothing."""
    return cell not in (None, "") and not (isinstance(cell, float) and math.isnan(cell))


def _without_image(sample: Sample, id_: str) -> Sample:
    half = "" if id_ == sample.id else TEXT
    return replace(sample, id=id_, image=None, data={**sample.data, "half": half})


def _rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The rows with their images as bytes, and where each stands."""
    rows = files.read_parquet(path) if path.suffix == ".parquet" else files.read_tsv(path)
    of_index = {str(row.get("index")): row.get("image") for row in rows}
    for number, row in enumerate(rows):
        where = f"{path} row {number}"
        image = row.get("image")
        if isinstance(image, str) and len(image) < SHORTER:
            image = of_index.get(image)
        yield {**row, "image": _bytes(image, where)}, where


def _bytes(image: Any, where: str) -> bytes:
    """The encoded image of a cell: bytes, as the hub's data sets hold them ({"bytes", "path"}), or base64."""
    if isinstance(image, Mapping):
        image = image.get("bytes")
    if isinstance(image, str):
        try:
            image = base64.b64decode(image, validate=True)
        except binascii.Error as error:
            raise DataError(f"{where}: field 'image' is not base64: {error}.") from error
    if not isinstance(image, bytes) or not image:
        raise DataError(f"{where}: field 'image' should hold an encoded image, found {type(image).__name__}.")
    return image


def _counts(sample: Sample, prefix: str, right: bool) -> dict[str, float]:
    """What is asked and right, in all and, of questions with their image, in the category and its part."""
    stem = f"{prefix}{sample.data['half']}"
    counts = {f"{stem}asked": 1.0, f"{stem}right": float(right)}
    if not sample.data["half"]:
        for name in (slug(sample.data["category"]), slug(sample.data["l2_category"])):
            counts |= {f"{stem}asked_{name}": 1.0, f"{stem}right_{name}": float(right)}
    return counts


def slug(name: str) -> str:
    """How a category is called among metrics: "science & technology" is science_technology."""
    return re.sub(r"[^a-z]+", "_", name).strip("_")


def _metrics(prefix: str, both: bool) -> list[Metric]:
    names = [slug(name) for category, parts in CATEGORIES.items() for name in (category, *parts)]
    right, asked, text = f"{prefix}right", f"{prefix}asked", f"{prefix}{TEXT}"
    metrics = [Metric(f"{prefix}accuracy", ratio(right, asked), True)]
    metrics += [Metric(f"{prefix}{name}", ratio(f"{right}_{name}", f"{asked}_{name}"), True) for name in names]
    if both:
        metrics.append(Metric(f"{text}accuracy", ratio(f"{text}right", f"{text}asked"), None))
        metrics.append(Metric(f"{prefix}multimodal_gain", _gain(prefix), True))
    return metrics


def _gain(prefix: str) -> Callable[[Sums], NDArray[np.float64]]:
    """MG: the accuracy with images less the one without."""
    shown = ratio(f"{prefix}right", f"{prefix}asked")
    text = ratio(f"{prefix}{TEXT}right", f"{prefix}{TEXT}asked")
    return lambda sums: shown(sums) - text(sums)


BENCHMARKS.register("mmstar", MMStar)
