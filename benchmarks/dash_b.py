"""DASH-B: yes/no questions about one object, asked of images that make models see it and of images that show it.

Paper: Augustin, Neuhaus and Hein 2025 (ICCV), "DASH". Code: YanNeu/DASH-B `src/data/dash_b.py` (prompt) and
`src/eval_utils.py` at 1538d01. Half of the images do not show their object. Plain metrics leave out an answer that says
neither yes nor no; officially any "yes" in it is a yes, else any "no" a no, else it is wrong (``official_*``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.common import files
from benchmarks.common.llava_protocol import LlavaProtocol
from benchmarks.common.sources import GITHUB
from benchmarks.common.yes_no import PARSER, YesNo
from benchmarks.common.yes_no_figures import BALANCED, TITLES, TRIVIAL_ANSWERS, YES_RATIO, of_cells, verdict_of
from harness.errors import DataError
from harness.protocols.benchmark import BENCHMARKS, Benchmark, BenchmarkData, Decoding, Metric, Sample, Verdict
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Manual, Source

REPOSITORY = f"{GITHUB}/YanNeu/DASH-B/1538d01da15ef152dca8a8405da3f9444e26661d/images"
ARCHIVES = "https://nc.mlcloud.uni-tuebingen.de/index.php/s"
TRUTHS: Mapping[str, YesNo] = {"neg": "no", "pos": "yes"}
"""The two halves in the official order."""
OFFICIAL_FILES = {
    "neg": "text:29d9afa611083f3becdc64e4c30a1783a6c8be9bf6d335a12b124c50ad2876ed",
    "pos": "text:fe261c2b9463e27034aea34368330ae4645cfd3bc0feca907240eb5160517829",
}
OFFICIAL_ROWS = 1341
QUESTION = "Can you see a {object} in this image? Please answer only with yes or no."
DECODING = Decoding(max_new_tokens=128)
FIGURES: Mapping[str, bool | None] = {
    **{"accuracy": True, BALANCED: True, "recall": True, "specificity": True, "harmonic_mean": True},
    YES_RATIO: None,
}
"""The figures, and whether more is better."""


def _file(half: str) -> str:
    return f"dash_benchmark_{half}.json"


SOURCES: tuple[AnySource, ...] = (
    *(
        Source(f"images/{_file(half)}", f"{REPOSITORY}/{_file(half)}", pin, "no licence stated")
        for half, pin in OFFICIAL_FILES.items()
    ),
    *(
        Manual(f"images/{half}", f"{half}.zip and unpack it", f"{ARCHIVES}/{number}/download/{half}.zip",
               "Its images lie in folders of their own.")
        for half, number in (("neg", "HJKbBWpgLFz4rN5"), ("pos", "ppZeYNayJXiogjP"))
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DashB(LlavaProtocol, Benchmark):
    """DASH-B."""

    name: ClassVar[str] = "dash_b"
    paper: ClassVar[str] = "https://arxiv.org/abs/2503.23573"
    title: ClassVar[str] = "DASH-B"
    headline: ClassVar[tuple[str, ...]] = tuple(FIGURES)
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    metric_titles: ClassVar[Mapping[str, str]] = {
        **TITLES,
        "accuracy": "ACC",
        "recall": "TPR",
        "specificity": "TNR",
        "harmonic_mean": "Harmonic mean",
    }
    trivial_answers: ClassVar[Mapping[str, str]] = TRIVIAL_ANSWERS
    attempts: ClassVar[int] = 1

    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return f"dash_b-1 {PARSER}"

    @property
    def mode(self) -> str:
        return "yes or no read, neither is an error"

    def load(self, root: Path) -> BenchmarkData:
        """The images without their object, then those with it; ids "neg/coco/backpack/12.png", as their paths."""
        of_half = {half: _half(root, half) for half in TRUTHS}
        notes = files.notes(root, {(_file(h), f"images/{_file(h)}"): pin for h, pin in OFFICIAL_FILES.items()})
        for half, samples in of_half.items():
            notes += files.count_note(_file(half), len(samples), OFFICIAL_ROWS)
        return BenchmarkData([*of_half["neg"], *of_half["pos"]], self.version, unofficial(), notes)

    def part(self, sample: Sample) -> str:
        return str(sample.data["truth"])

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        return verdict_of(sample.data["truth"], answer, sample.prompt, read_officially(answer))

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        official = [name for name in FIGURES if name not in (BALANCED, YES_RATIO)]
        return [
            *(Metric(name, of_cells("", name), better) for name, better in FIGURES.items()),
            *(Metric(f"official_{name}", of_cells("official_", name), True) for name in official),
        ]


def _half(root: Path, half: str) -> list[Sample]:
    """The questions of {data set: {object: [file names]}}."""
    path = files.need(root, _file(half), f"images/{_file(half)}", what="DASH-B's list of images")
    folder = root / half if (root / half).is_dir() else root / "images" / half
    listed = files.read_json(path)
    if not isinstance(listed, dict):
        raise DataError(f"{path}: expected an object of data sets, found {type(listed).__name__}.")
    samples = []
    for origin in listed:
        objects = files.field_of(listed, origin, dict, str(path))
        for name in objects:
            files.readable(name, f"{path}: {origin}: the name of an object")
            for file in files.strings_of(objects, name, f"{path}: {origin}"):
                inside = Path(origin, name, files.plain_name(file, f"{path}: {origin}, {name}"))
                data = {"truth": TRUTHS[half], "object": name, "origin": origin}
                id_ = f"{half}/{inside.as_posix()}"
                samples.append(Sample(id_, QUESTION.format(object=name), Image(path=folder / inside), data, group=id_))
    return samples


def read_officially(answer: str) -> YesNo | None:
    """REPRODUCE (official_*): "yes" if these letters are anywhere in it, else "no" if these are, else None."""
    text = answer.lower()
    return "yes" if "yes" in text else "no" if "no" in text else None


BENCHMARKS.register("dash_b", DashB)
