"""POPE: yes/no questions about objects, asked of every image in three splits. No judge; "yes" is the positive class.

Paper: Li et al. 2023, "Evaluating Object Hallucination in Large Vision-Language Models". Code: AoiDragon/POPE
`evaluate.py` at 08d957b; prompts and decoding as in LLaVA-1.5, whose F1 is the mean of the three splits. Plain
metrics leave out an answer that says neither yes nor no; officially whatever is not a "no" is a yes (``official_*``).
RePOPE: Neuhaus and Hein 2025, YanNeu/RePOPE at bcf22e5, labels checked again, ambiguous questions left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import files
from benchmarks.common.coco import IMAGE_FOLDERS, image_folder
from benchmarks.common.llava_protocol import LlavaProtocol
from benchmarks.common.sources import COCO_IMAGES, GITHUB, image_urls
from benchmarks.common.yes_no import PARSER
from benchmarks.common.yes_no_figures import BALANCED, TITLES, TRIVIAL_ANSWERS, YES_RATIO, of_cells, verdict_of
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
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Listed, Source
from harness.util.jsonl import iter_jsonl
from harness.util.options import added

SPLITS = ("random", "popular", "adversarial")
# The files LLaVA's published numbers use (commit e3e3926; their lines end in CRLF there, in other copies in LF); the
# repository's later ones have 3,000 rows each.
OFFICIAL_FILES = {
    "random": "text:b65021b4425a6b2ae77703a39f19868978c2c2320379ea5e36600f0fc1e62a7c",
    "popular": "text:7bb5ad04f3c58e13a726942a6779224f2f03520611d6733efb88fc597ccf3bb2",
    "adversarial": "text:9ca9c075445ce7fa090c7d191816584b23ad8ebad537e80229e5926fe07a6f76",
}
REPOPE_FILES = {
    "random": "text:f464fcaf60b24ce2f280cf33f122e000dbdd35c8e88f77c4141c9c2cba864611",
    "popular": "text:57832b055bae5fd6176278a4f104c98ddd84811f7d26dfcb93d481f6c9da09a5",
    "adversarial": "text:8c346dbb060bf422ff92e769fa68e5ab3e8a777cb28a26e973387441e05c9ccf",
}
OFFICIAL_ROWS = {"random": 2910, "popular": 3000, "adversarial": 3000}
SHORT = "\nAnswer the question using a single word or phrase."
DECODING = Decoding(max_new_tokens=128)
REPOSITORY = f"{GITHUB}/AoiDragon/POPE/e3e39262c85a6a83f26cf5094022a782cb0df58d/output/coco"
REPOPE = f"{GITHUB}/YanNeu/RePOPE/bcf22e5690d587cce34e1728af3efdcfaf747d29/annotations"


def _images(folder: Path) -> dict[str, str]:
    """The homes of the images that the questions in ``folder`` ask about (500 of 40,504)."""
    present = [path for split in SPLITS if (path := files.find(folder, _file(split)))]
    if not present:
        files.need(folder, *map(_file, SPLITS), what="POPE's questions")
    return image_urls(present, f"{COCO_IMAGES}/val2014")


SOURCES: tuple[AnySource, ...] = (
    *(
        Source(f"coco_repope_{split}.json", f"{REPOPE}/coco_repope_{split}.json", pin, "no licence stated")
        for split, pin in REPOPE_FILES.items()
    ),
    *(
        Source(f"coco_pope_{split}.json", f"{REPOSITORY}/coco_pope_{split}.json", pin, "MIT")
        for split, pin in OFFICIAL_FILES.items()
    ),
    Listed(IMAGE_FOLDERS[0], "images of COCO val2014", _images, IMAGE_FOLDERS[1:]),
)


@dataclass(frozen=True, kw_only=True)
class Pope(LlavaProtocol, Benchmark):
    """POPE.

    Settings:
        short: whether a question ends as LLaVA asks it, with the request for a single word or phrase.
        labels: ``repope`` takes the labels of coco_repope_*.json (RePOPE) in the data directory, to the questions that
            they have; the same answers are scored, so those that are stored are not asked for again.
    """

    name: ClassVar[str] = "pope"
    paper: ClassVar[str] = "https://arxiv.org/abs/2305.10355"
    title: ClassVar[str] = "POPE"
    headline: ClassVar[tuple[str, ...]] = (
        *("f1", BALANCED, YES_RATIO),
        *("random_f1", "popular_f1", "adversarial_f1"),
    )
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    suites: ClassVar[tuple[str, ...]] = ("general",)
    ability: ClassVar[str] = BALANCED
    metric_titles: ClassVar[Mapping[str, str]] = {
        **TITLES,
        "f1": "F1",
        "random_f1": "F1 random",
        "popular_f1": "popular",
        "adversarial_f1": "adversarial",
    }
    trivial_answers: ClassVar[Mapping[str, str]] = TRIVIAL_ANSWERS
    attempts: ClassVar[int] = 1

    short: bool = True
    labels: Literal["pope", "repope"] = added("pope")
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        labels = "" if self.labels == "pope" else f" labels={self.labels}"
        return f"pope-1 {PARSER} short={self.short}{labels}"

    @property
    def mode(self) -> str:
        return "yes or no read, neither is an error"

    def load(self, root: Path) -> BenchmarkData:
        """The questions of the splits that are there, ids "<split>:<question_id>"."""
        present = {split: path for split in SPLITS if (path := files.find(root, _file(split)))}
        if not present:
            files.need(root, *map(_file, SPLITS), what="POPE's questions")
        folder = image_folder(root)
        of_split = {split: self._split(split, path, folder) for split, path in present.items()}
        notes = files.notes(root, {(_file(split),): pin for split, pin in OFFICIAL_FILES.items()})
        for split, questions in of_split.items():
            notes += files.count_note(_file(split), len(questions), OFFICIAL_ROWS[split])
        asked = [sample for questions in of_split.values() for sample in questions]
        if self.labels == "pope":
            return BenchmarkData(asked, self.version, unofficial(), notes)
        checked = {split: _repope(root, split) for split in of_split}
        notes += files.notes(root, {(_repope_file(split),): REPOPE_FILES[split] for split in of_split})
        notes += [note for split in of_split for note in _unknown(split, of_split[split], checked[split])]
        kept = [again for sample in asked if (again := _labelled_again(sample, checked)) is not None]
        return BenchmarkData(kept, self.version, unofficial(), notes, whole=asked)

    def _split(self, split: str, path: Path, folder: Path) -> list[Sample]:
        samples = []
        for number, row in iter_jsonl(path):
            where = f"{path} line {number}"
            label = _label(row, where)
            id_ = f"{split}:{files.field_of(row, 'question_id', (int, str), where)}"
            image = files.field_of(row, "image", str, where)
            prompt = files.field_of(row, "text", str, where) + (SHORT if self.short else "")
            data = {"split": split, "label": label}
            if self.labels == "repope":
                data["question"] = _spelled(row["text"])
            samples.append(Sample(id_, prompt, Image(path=folder / image), data, group=image))
        return samples

    def part(self, sample: Sample) -> str:
        return str(sample.data["split"])

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        said, stem = read_officially(answer), f"{sample.data['split']}_"
        return verdict_of(sample.data["label"], answer, sample.prompt, said, stem)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        present = {sample.data["split"] for sample in samples}
        splits = [split for split in SPLITS if split in present]
        return [metric for prefix in ("", "official_") for metric in _metrics(prefix, splits)]


def _file(split: str) -> str:
    return f"coco_pope_{split}.json"  # JSON lines, whatever the name says


def _repope_file(split: str) -> str:
    return f"coco_repope_{split}.json"


def _spelled(text: str) -> str:
    """A question as RePOPE has it: POPE's files of e3e3926 ask of some images "in the imange"."""
    return text.replace("imange", "image").strip()


def _repope(root: Path, split: str) -> dict[tuple[str, str], str]:
    """RePOPE's label of every question that it keeps, by image and text; it has none twice."""
    path = files.need(root, _repope_file(split), what="RePOPE's labels (`fetch pope` has their home)")
    labels: dict[tuple[str, str], str] = {}
    for number, row in iter_jsonl(path):
        where = f"{path} line {number}"
        asked = files.field_of(row, "image", str, where), _spelled(files.field_of(row, "text", str, where))
        if labels.setdefault(asked, label := _label(row, where)) != label:
            both = f"{label!r} here and {labels[asked]!r} above"
            raise DataError(f"{where}: {' '.join(asked)} is {both}: keep one label.")
    return labels


def _label(row: Mapping[str, Any], where: str) -> str:
    label: str = files.field_of(row, "label", str, where)
    if label not in ("yes", "no"):
        raise DataError(f'{where}: label should be "yes" or "no", found {label!r}.')
    return label


def _labelled_again(sample: Sample, checked: Mapping[str, Mapping[tuple[str, str], str]]) -> Sample | None:
    """The question with RePOPE's label; None where RePOPE leaves it out."""
    label = checked[sample.data["split"]].get((sample.group, sample.data["question"]))
    return None if label is None else replace(sample, data={**sample.data, "label": label})


def _unknown(split: str, asked: Sequence[Sample], checked: Mapping[tuple[str, str], str]) -> list[str]:
    """A note on the questions of RePOPE that POPE's file does not ask: its random split was 90 rows longer once."""
    lacking = len(checked.keys() - {(sample.group, sample.data["question"]) for sample in asked})
    return (
        [f"{_repope_file(split)}: {lacking} of its {len(checked)} questions are not in {_file(split)}"]
        if lacking
        else []
    )


def read_officially(answer: str) -> str:
    """REPRODUCE (official_*): "no" if No, no or not is a word of what stands before the first full stop, else "yes"."""
    words = answer.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "no", "not"} & set(words) else "yes"


FIGURES: dict[str, bool | None] = {
    "f1": True, "accuracy": True, "precision": True, "recall": True, YES_RATIO: None, BALANCED: True
}  # fmt: skip
"""The figures of a split, and whether more is better."""
OVERALL = ("f1", BALANCED, YES_RATIO)
"""Those of which the mean over the splits is given too, as LLaVA does with F1."""


def _metrics(prefix: str, splits: Sequence[str]) -> list[Metric]:
    """The mean F1 of the splits (LLaVA) and of some others, then every split's figures; null where nothing is asked."""
    overall = [Metric(f"{prefix}{figure}", _mean(prefix, splits, figure), FIGURES[figure]) for figure in OVERALL]
    return overall + [
        Metric(f"{prefix}{split}_{figure}", of_cells(f"{prefix}{split}_", figure), better)
        for split in SPLITS
        for figure, better in FIGURES.items()
    ]


def _mean(prefix: str, splits: Sequence[str], figure: str) -> Callable[[Sums], NDArray[np.float64]]:
    of_splits = [of_cells(f"{prefix}{split}_", figure) for split in splits]
    return lambda sums: np.mean([of(sums) for of in of_splits], axis=0)


BENCHMARKS.register("pope", Pope)
