"""MMHal-Bench: a judge rates free answers from 0 to 6; below 3 an answer is hallucinated.

Paper: Sun et al. 2023, "Aligning Large Multimodal Models with Factually Augmented RLHF". Code: LLaVA-RLHF at 830a083,
RLAIF-V `eval_gpt_mmhal.py` at 83d917b (informativeness). Plain metrics read a rating however it is written and leave
out replies without one, or with doubt about it; the official rule makes them 0, and stands beside as ``official_*``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from benchmarks.common import files
from benchmarks.common.images import image_in
from benchmarks.common.llava_protocol import LLAVA_V1, LlavaProtocol
from benchmarks.common.official import OfficialPrompt, Prompt, PromptChoice
from benchmarks.common.prompts import RATING, fill
from benchmarks.common.ratings import BEST, read_rating
from benchmarks.common.sources import APACHE, HUB, RLAIFV
from harness.protocols.benchmark import (
    BENCHMARKS,
    Benchmark,
    BenchmarkData,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Level,
    Metric,
    Sample,
    Verdict,
    ratio,
)
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Source
from harness.util.ranges import at_least

TEMPLATES = ("mmhal-bench_answer_template.json", "response_template.json", "mmhal-bench_with_image.jsonl")
OFFICIAL_FILE = "text:28ed24e19ffef292597c35f1dad37760b2e0a088b3b40ca3b50f105fc1b951bb"
OFFICIAL_SCRIPT = "text:35f8275a596715f5fff622db4bd0e017578ebb3d6cdec4eceb753ee3bc1ba348"
OFFICIAL_ROWS = 96
TYPES = ("attribute", "adversarial", "comparison", "counting", "relation", "environment", "holistic", "other")
OFFICIAL_PROMPT = OfficialPrompt(
    ("eval_gpt_mmhal.py", "eval_gpt4.py"),
    "template",
    "2c73d8c50f1740d000fae62cfeed103c2f7a5bcfa904b27e6e09900e7ce600cc",
)
DECODING = Decoding(max_new_tokens=1024, num_beams=3)  # RLAIF-V; LLaVA-RLHF decodes greedily
HALLUCINATED_BELOW = 3
SOURCES: tuple[AnySource, ...] = (
    Source(
        TEMPLATES[0],
        f"{RLAIFV}/data/{TEMPLATES[0]}",
        OFFICIAL_FILE,
        APACHE,
    ),
    Source("eval_gpt_mmhal.py", f"{RLAIFV}/eval_gpt_mmhal.py", OFFICIAL_SCRIPT, f"code {APACHE}"),
    Source(
        "test_data.zip",
        f"{HUB}/Shengcao1006/MMHal-Bench/resolve/main/test_data.zip",
        "",
        f"{APACHE}, images of Open Images",
        unpack=(("*.jpg", "images"), ("*.jpeg", "images"), ("*.png", "images"), ("*.json", ".")),
        gives=("images",),
    ),
)


@dataclass(frozen=True, kw_only=True)
class MMHal(LlavaProtocol, Benchmark):
    """MMHal-Bench.

    Settings:
        prompt: ``official`` is read from eval_gpt_mmhal.py (RLAIF-V) or eval_gpt4.py (MMHal-Bench) in the data
            directory, ``own`` is the project's wording, ``auto`` is the official one where it is there.
        attempts: how often the judge is asked for a rating it did not give (officially once: no rating is 0).
    """

    name: ClassVar[str] = "mmhal"
    system_message: ClassVar[str] = LLAVA_V1
    paper: ClassVar[str] = "https://arxiv.org/abs/2309.14525"
    title: ClassVar[str] = "MMHal-Bench"
    headline: ClassVar[tuple[str, ...]] = ("score", "hallucination_rate", "informativeness")
    primary: ClassVar[str] = "hallucination_rate"
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    ratings: ClassVar[Mapping[str, Level]] = {"rating": "ordinal", "hallucinated": "nominal"}
    suites: ClassVar[tuple[str, ...]] = ("hallucination",)
    ability: ClassVar[str] = "informativeness"
    metric_titles: ClassVar[Mapping[str, str]] = {
        "hallucination_rate": "Hal. rate",
        "informativeness": "Informative",
    }
    needs_judge: ClassVar[bool] = True

    prompt: PromptChoice = "auto"
    attempts: Annotated[int, at_least(1)] = 2
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return self._version(self.prompt)

    def _version(self, prompt: str) -> str:
        return f"mmhal-1 prompt={prompt} parser=anchored-rating-7 attempts={self.attempts}"

    @property
    def mode(self) -> str:
        return "one rating or the last line's read, none is an error"

    def load(self, root: Path) -> BenchmarkData:
        """The questions in file order, ids "0" to "95"; images from images/ where they are."""
        path = files.need(root, *TEMPLATES, what="MMHal-Bench's questions")
        prompt = OFFICIAL_PROMPT.find(root, RATING, self.prompt)
        folder = root / "images"
        present = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        by_stem = {Path(name).stem: folder / name for name in present}
        samples = []
        for index, row in enumerate(files.read_rows(path)):
            where = f"{path} row {index}"
            data = {
                "type": files.field_of(row, "question_type", str, where),
                "contents": files.strings_of(row, "image_content", where),
                "reference": files.field_of(row, "gt_answer", str, where),
            }
            group = str(row.get("image_id") or index)
            image = _image(row, index, root, by_stem, where)
            question = files.field_of(row, "question", str, where)
            samples.append(Sample(str(index), question, image, data, group, prompt))
        info = {"prompt": prompt.record, **unofficial(OFFICIAL_PROMPT.part(prompt))}
        notes = _notes(root, path, samples) + OFFICIAL_PROMPT.note(root, self.prompt)
        return BenchmarkData(samples, self._version(prompt.name), info, notes)

    def part(self, sample: Sample) -> str:
        return str(sample.data["type"])

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        template: Prompt = sample.resources
        contents, reference = ", ".join(sample.data["contents"]), sample.data["reference"]
        answer = answer.replace("Assistant:", "").strip()
        if template.official:
            prompt = template.text.format(contents, sample.prompt, reference, answer)
        else:
            values = {"contents": contents, "question": sample.prompt, "reference": reference, "answer": answer}
            prompt = fill(template.text, **values)
        prompt += RATING.again if attempt else ""  # officially it is asked once: the second is ours anyway
        return JudgePrompt(prompt, temperature=0.0, max_tokens=512)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """From the last reply: only the judge's words are read, never the answer's."""
        rating = read_rating(replies[-1]) if replies else None
        if rating is None:
            raise JudgeParseError(f"no rating from 0 to {BEST} in the reply")
        values = {**_counts(rating, sample.data["type"], ""), **_official(sample, replies)}
        return Verdict(values, details={"rating": rating})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        error = f"judge: no rating from 0 to {BEST} in {len(replies)} replies"
        return Verdict(_official(sample, replies), error=error)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        present = {sample.data["type"] for sample in samples}
        types = [*TYPES, *sorted(present - set(TYPES))]
        return _metrics("", types) + _metrics("official_", types)


def _notes(root: Path, path: Path, samples: Sequence[Sample]) -> list[str]:
    notes = files.count_note(path.name, len(samples), OFFICIAL_ROWS)
    # The copy with images inside has no known checksum.
    return notes + (files.notes(root, {(path.name,): OFFICIAL_FILE}) if path.suffix == ".json" else [])


def _image(row: Mapping[str, Any], index: int, root: Path, by_stem: Mapping[str, Path], where: str) -> Image:
    """The image in the row, or the file in images/ named by id, source or index.

    If none is there, the file that the row names as its source; without one, the first of those names.
    """
    if image := image_in(row, root, where):
        return image
    source = Path(str(row.get("image_src")))
    stems = (str(row.get("image_id")), source.stem, str(index))
    path = next((by_stem[stem] for stem in stems if stem in by_stem), None)
    named = source.name if source.suffix else f"{next(s for s in stems if s not in ('None', ''))}.jpg"
    return Image(path=path or root / "images" / named)


def read_rating_officially(reply: str) -> int:
    """REPRODUCE (official_*): the one s of 0..6 for which "rating: s" occurs; 0 where none or several do."""
    ratings = [score for score in range(BEST + 1) if f"rating: {score}" in reply.lower()]
    return ratings[0] if len(ratings) == 1 else 0


def _official(sample: Sample, replies: Sequence[str]) -> dict[str, float]:
    """The official counts: the first reply decides, readable or not."""
    return _counts(read_rating_officially(replies[0]), sample.data["type"], "official_") if replies else {}


def _counts(rating: int, kind: str, prefix: str) -> dict[str, float]:
    hallucinated = rating < HALLUCINATED_BELOW
    counts = {
        "rated": 1.0,
        "rating": float(rating),
        "hallucinated": float(hallucinated),
        "informative": float(rating if hallucinated else rating - HALLUCINATED_BELOW),
        f"rated_{kind}": 1.0,
        f"rating_{kind}": float(rating),
    }
    return {f"{prefix}{name}": value for name, value in counts.items()}


def _metrics(prefix: str, types: Sequence[str]) -> list[Metric]:
    rated = f"{prefix}rated"
    unit = f"0-{BEST}"
    return [
        Metric(f"{prefix}score", ratio(f"{prefix}rating", rated, scale=1.0), True, unit),
        Metric(f"{prefix}hallucination_rate", ratio(f"{prefix}hallucinated", rated), False),
        # Both halves of the scale run over 3 steps: not, somewhat, very informative (RLAIF-V).
        Metric(f"{prefix}informativeness", ratio(f"{prefix}informative", rated, scale=100 / 3), True),
        *(
            Metric(f"{prefix}score_{kind}", ratio(f"{prefix}rating_{kind}", f"{rated}_{kind}", scale=1.0), True, unit)
            for kind in types
        ),
    ]


BENCHMARKS.register("mmhal", MMHal)
