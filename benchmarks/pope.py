"""POPE: yes/no questions about objects, asked of every image in three splits. No judge; "yes" is the positive class.

Paper: Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models". Code: AoiDragon/POPE
`evaluate.py` at 08d957b; prompts and decoding as in LLaVA-1.5, whose F1 is the mean of the three splits. Plain
metrics leave out an answer that says neither yes nor no; officially whatever is not a "no" is a yes (``official_*``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import files
from benchmarks.common.llava_protocol import LlavaProtocol
from benchmarks.common.sources import GITHUB
from benchmarks.common.yes_no import read_yes_no
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
)
from harness.protocols.conversation import Image
from harness.util.download import Manual, Source
from harness.util.jsonl import iter_jsonl

SPLITS = ("random", "popular", "adversarial")
# The files LLaVA's published numbers use (commit e3e3926); the repository's later ones have 3,000 rows each.
OFFICIAL_SHA256 = {
    "random": "b65021b4425a6b2ae77703a39f19868978c2c2320379ea5e36600f0fc1e62a7c",
    "popular": "7bb5ad04f3c58e13a726942a6779224f2f03520611d6733efb88fc597ccf3bb2",
    "adversarial": "9ca9c075445ce7fa090c7d191816584b23ad8ebad537e80229e5926fe07a6f76",
}
OFFICIAL_ROWS = {"random": 2910, "popular": 3000, "adversarial": 3000}
IMAGE_FOLDERS = ("val2014", "images", "image")
SHORT = "\nAnswer the question using a single word or phrase."
DECODING = Decoding(max_new_tokens=128)
REPOSITORY = f"{GITHUB}/AoiDragon/POPE/e3e39262c85a6a83f26cf5094022a782cb0df58d/output/coco"
SOURCES: tuple[Source | Manual, ...] = (
    *(
        Source(f"coco_pope_{split}.json", f"{REPOSITORY}/coco_pope_{split}.json", f"sha256:{digest}", "MIT")
        for split, digest in OFFICIAL_SHA256.items()
    ),
    Manual(
        "images",
        "COCO val2014 (6 GB)",
        "http://images.cocodataset.org/zips/val2014.zip",
        "500 of these images are asked about; you may have them already.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Pope(LlavaProtocol, Benchmark):
    """POPE.

    Settings:
        short: whether a question ends as LLaVA asks it, with the request for a single word or phrase.
    """

    name: ClassVar[str] = "pope"
    paper: ClassVar[str] = "https://arxiv.org/abs/2305.10355"
    title: ClassVar[str] = "POPE"
    headline: ClassVar[tuple[str, ...]] = ("f1", "random_f1", "popular_f1", "adversarial_f1", "random_yes_ratio")
    sources: ClassVar[tuple[Source | Manual, ...]] = SOURCES
    suites: ClassVar[tuple[str, ...]] = ("general",)
    ability: ClassVar[str] = "f1"
    metric_titles: ClassVar[Mapping[str, str]] = {
        "f1": "F1",
        "random_f1": "F1 random",
        "popular_f1": "popular",
        "adversarial_f1": "adversarial",
        "random_yes_ratio": "Yes, random",
    }
    trivial_answers: ClassVar[Mapping[str, str]] = {"always Yes": "Yes", "always No": "No"}
    attempts: ClassVar[int] = 1

    short: bool = True
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return f"pope-1 parser=yes-no-2 short={self.short}"

    @property
    def mode(self) -> str:
        return "yes or no read, neither is an error"

    def load(self, root: Path) -> BenchmarkData:
        """The questions of the splits that are there, ids "<split>:<question_id>"."""
        present = {split: path for split in SPLITS if (path := files.find(root, _file(split)))}
        if not present:
            files.need(root, *map(_file, SPLITS), what="POPE's questions")
        folder = next((root / name for name in IMAGE_FOLDERS if (root / name).is_dir()), root / IMAGE_FOLDERS[0])
        of_split = {split: self._split(split, path, folder) for split, path in present.items()}
        notes = files.notes(root, {(_file(split),): digest for split, digest in OFFICIAL_SHA256.items()})
        for split, questions in of_split.items():
            notes += files.count_note(_file(split), len(questions), OFFICIAL_ROWS[split])
        return BenchmarkData([s for questions in of_split.values() for s in questions], self.version, notes=notes)

    def _split(self, split: str, path: Path, folder: Path) -> list[Sample]:
        samples = []
        for number, row in iter_jsonl(path):
            where = f"{path} line {number}"
            label = files.field_of(row, "label", str, where)
            if label not in ("yes", "no"):
                raise DataError(f'{where}: label should be "yes" or "no", found {label!r}.')
            id_ = f"{split}:{files.field_of(row, 'question_id', (int, str), where)}"
            image = files.field_of(row, "image", str, where)
            prompt = files.field_of(row, "text", str, where) + (SHORT if self.short else "")
            data = {"split": split, "label": label}
            samples.append(Sample(id_, prompt, Image(path=folder / image), data, group=image))
        return samples

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        split, label = sample.data["split"], sample.data["label"]
        values = _counts(split, label, read_officially(answer), "official_")
        said = read_yes_no(answer, sentences=True)
        if said is None:
            return Verdict(values, error="the answer says neither yes nor no", details={"read": None})
        return Verdict({**_counts(split, label, said, ""), **values}, details={"read": said})

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        present = {sample.data["split"] for sample in samples}
        splits = [split for split in SPLITS if split in present]
        return [metric for prefix in ("", "official_") for metric in _metrics(prefix, splits)]


def _file(split: str) -> str:
    return f"coco_pope_{split}.json"  # JSON lines, whatever the name says


def read_officially(answer: str) -> str:
    """REPRODUCE (official_*): "no" if No, no or not is a word of what stands before the first full stop, else "yes"."""
    words = answer.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


def _counts(split: str, label: str, said: str, prefix: str) -> dict[str, float]:
    """One answer in the split's confusion matrix; "yes" is positive."""
    cell = {("yes", "yes"): "tp", ("no", "yes"): "fp", ("no", "no"): "tn", ("yes", "no"): "fn"}[label, said]
    return {f"{prefix}{split}_{cell}": 1.0}


FIGURES: dict[str, tuple[dict[str, int], dict[str, int], bool | None]] = {
    # figure: weights of the cells above and below the line; whether more is better
    "f1": ({"tp": 2}, {"tp": 2, "fp": 1, "fn": 1}, True),
    "accuracy": ({"tp": 1, "tn": 1}, {"tp": 1, "fp": 1, "tn": 1, "fn": 1}, True),
    "precision": ({"tp": 1}, {"tp": 1, "fp": 1}, True),
    "recall": ({"tp": 1}, {"tp": 1, "fn": 1}, True),
    "yes_ratio": ({"tp": 1, "fp": 1}, {"tp": 1, "fp": 1, "tn": 1, "fn": 1}, None),
}


def _figure(stem: str, figure: str) -> Callable[[Sums], NDArray[np.float64]]:
    above, below, _ = FIGURES[figure]

    def of(sums: Sums) -> NDArray[np.float64]:
        top = np.asarray(sum(weight * sums[f"{stem}_{cell}"] for cell, weight in above.items()))
        bottom = np.asarray(sum(weight * sums[f"{stem}_{cell}"] for cell, weight in below.items()))
        return np.where(bottom > 0, 100.0 * top / np.where(bottom > 0, bottom, 1.0), np.nan)

    return of


def _metrics(prefix: str, splits: Sequence[str]) -> list[Metric]:
    """The mean F1 of the splits (LLaVA), then every split's figures; those of a split without questions are null."""
    of_splits = [_figure(f"{prefix}{split}", "f1") for split in splits]
    mean = Metric(f"{prefix}f1", lambda sums: np.mean([of(sums) for of in of_splits], axis=0), True)
    return [mean] + [
        Metric(f"{prefix}{split}_{figure}", _figure(f"{prefix}{split}", figure), FIGURES[figure][2])
        for split in SPLITS
        for figure in FIGURES
    ]


BENCHMARKS.register("pope", Pope)
