"""MM-Vet: a judge grades free answers from 0 to 1 against a reference; the mean, by capability and set of capabilities.

Paper: Yu et al. 2023, "MM-Vet: Evaluating Large Multimodal Models for Integrated Capabilities". Code: yuweihao/MM-Vet
`mm-vet_evaluator.py` at acde843. Plain metrics read a grade however it is set and leave out answers without one;
officially a grade is the text before the first blank, and 0 after five unreadable replies (``official_*``).
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from benchmarks.common import files
from benchmarks.common.general_prompts import GRADE
from benchmarks.common.llava_protocol import LlavaProtocol
from benchmarks.common.official import OfficialPrompt, Prompt, PromptChoice
from benchmarks.common.ratings import is_plain
from benchmarks.common.replies import field_of, own_words
from benchmarks.common.sources import APACHE, GITHUB, NON_COMMERCIAL
from harness.errors import DataError
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

DATA = "mm-vet.json"
SCRIPT = "mm-vet_evaluator.py"
OFFICIAL_SCRIPT = "text:f68b3f8a27c9ae1717095276594810e3af90b16a7a26d62be79c5c08328157b3"
OFFICIAL_PROMPT = OfficialPrompt(
    (SCRIPT,), "prompt", "d1b3e0a5b4e72c888b77164489d705bba4dd149934fff564dfba6443d81afe3f"
)
OFFICIAL_AGAIN = "06b684d7c595cdbcc0ef7ecb112a52f439c0a3933fd2d429871d0368ad0c290c"
"""sha256 of what the script adds when it asks again."""
OFFICIAL_ROWS = 218
CAPABILITIES = ("rec", "ocr", "know", "gen", "spat", "math")
DECODING = Decoding(max_new_tokens=1024)
TEMPERATURES = (0.0, 0.0, 0.5, 1.0, 1.5, 2.0)
"""REPRODUCE: the temperature is raised after each retry, so that the first one is again at 0."""
OFFICIAL_READ = 5
"""REPRODUCE: of the six replies asked for, the last is never read."""
REPOSITORY = f"{GITHUB}/yuweihao/MM-Vet/7d717c2f54a584b7ed363d66e6481ce1bf648538"
SOURCES: tuple[AnySource, ...] = (
    Source(
        "mm-vet.zip",
        "https://github.com/yuweihao/MM-Vet/releases/download/v1/mm-vet.zip",
        "",
        f"data {NON_COMMERCIAL}",
        unpack=(("*mm-vet.json", "."), ("*.jpg", "images"), ("*.jpeg", "images"), ("*.png", "images")),
        gives=("mm-vet.json",),
    ),
    Source(SCRIPT, f"{REPOSITORY}/{SCRIPT}", OFFICIAL_SCRIPT, f"code {APACHE}"),
)


@dataclass(frozen=True)
class JudgePrompts:
    """What the judge is asked, and what is added when it is asked again."""

    first: Prompt
    again: str


@dataclass(frozen=True, kw_only=True)
class MMVet(LlavaProtocol, Benchmark):
    """MM-Vet.

    Settings:
        prompt: ``official`` is read from mm-vet_evaluator.py in the data directory, ``own`` is the project's wording,
            ``auto`` is the official one where it is there.
        judge_runs: independent judge runs; the paper averages five (its script's default is one).
    """

    name: ClassVar[str] = "mm_vet"
    paper: ClassVar[str] = "https://arxiv.org/abs/2308.02490"
    title: ClassVar[str] = "MM-Vet"
    headline: ClassVar[tuple[str, ...]] = ("total", "ocr", "know", "gen", "spat", "math")
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    ratings: ClassVar[Mapping[str, Level]] = {"grade_total": "interval"}
    suites: ClassVar[tuple[str, ...]] = ("general",)
    ability: ClassVar[str] = "total"
    needs_judge: ClassVar[bool] = True
    rated_first: ClassVar[bool] = True
    attempts: ClassVar[int] = len(TEMPERATURES)

    prompt: PromptChoice = "auto"
    judge_runs: Annotated[int, at_least(1)] = 5
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return _version(self.prompt)

    @property
    def mode(self) -> str:
        return "one grade read, none is an error"

    def load(self, root: Path) -> BenchmarkData:
        """The questions in file order, ids "v1_0" and so on; images from images/."""
        path = files.need(root, DATA, what="MM-Vet's questions")
        rows = files.read_json(path)
        if not isinstance(rows, dict):
            raise DataError(f"{path}: expected an object of id -> question, found {type(rows).__name__}.")
        first = OFFICIAL_PROMPT.find(root, GRADE, self.prompt)
        script = files.find(root, SCRIPT, f"eval/{SCRIPT}") if first.official else None
        again = GRADE.again if script is None else _again(script)
        prompts = JudgePrompts(first, again)
        folder = root / "images" if (root / "images").is_dir() else root
        samples = []
        for id_, row in rows.items():
            where = f"{path} {id_}"
            if not isinstance(row, dict):
                raise DataError(f"{where}: expected an object, found {type(row).__name__}.")
            capabilities = files.strings_of(row, "capability", where)
            if not capabilities:
                raise DataError(f"{where}: field 'capability' is empty; expected some of {', '.join(CAPABILITIES)}.")
            image = files.field_of(row, "imagename", str, where)
            data = {
                "reference": files.field_of(row, "answer", str, where),
                "capability": sorted(set(capabilities)),
            }
            prompt = files.field_of(row, "question", str, where)
            samples.append(Sample(id_, prompt, Image(path=folder / image), data, image, prompts))
        notes = files.count_note(DATA, len(rows), OFFICIAL_ROWS) + OFFICIAL_PROMPT.note(root, self.prompt)
        parts = [OFFICIAL_PROMPT.part(first), *([] if script is None else [_part(again)])]
        info = {"prompt": first.record, **unofficial(*parts)}
        return BenchmarkData(samples, _version(first.name), info, notes)

    def part(self, sample: Sample) -> str:
        return "+".join(sample.data["capability"])

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        prompts: JudgePrompts = sample.resources
        reference = sample.data["reference"].replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
        if prompts.first.official:
            prompt = prompts.first.text + "\n" + " | ".join([sample.prompt, reference, answer, ""])
        else:
            prompt = prompts.first.text.format(question=sample.prompt, reference=reference, answer=answer)
        return JudgePrompt(
            prompt + (prompts.again if attempt else ""),
            temperature=TEMPERATURES[attempt],
            max_tokens=3 if prompts.first.official else 8,
        )

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """From the first reply with a grade. It is asked again as officially, where only its wording is off, too."""
        grade, official = first_grades(replies)
        if grade is None or (official is None and len(replies) < OFFICIAL_READ):
            raise JudgeParseError("no grade from 0 to 1 in the reply")
        return self.unreadable(sample, answer, replies)

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """The same without a further reply: an error only if none has a grade."""
        grade, official = first_grades(replies)
        values = _counts(sample, 0.0 if official is None else official, "official_") if replies else {}
        details = {"grade": grade}
        if grade is None:
            return Verdict(values, error=f"judge: no grade from 0 to 1 in {len(replies)} replies", details=details)
        return Verdict({**_counts(sample, grade, ""), **values}, details=details)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        capabilities = [*CAPABILITIES, *sorted({c for s in samples for c in s.data["capability"]} - set(CAPABILITIES))]
        sets = sorted({_set_name(sample) for sample in samples})
        return _metrics("", [*capabilities, *sets]) + _metrics("official_", [*capabilities, *sets])


def _version(prompt: str) -> str:
    return f"mm_vet-1 prompt={prompt} parser=one-grade-3"


def _again(path: Path) -> str:
    """What the official script adds when it asks again: the one string in it that starts a new line and ends open."""
    strings = [node.value for node in ast.walk(ast.parse(files.read_text(path))) if isinstance(node, ast.Constant)]
    added = [text for text in strings if isinstance(text, str) and text.startswith("\n") and text.endswith(": ")]
    return added[0] if added else GRADE.again


def _part(again: str) -> tuple[str, str, str]:
    """What is added when the judge is asked again, as a part of ``unofficial``: the script may have been changed."""
    digest = hashlib.sha256(again.encode()).hexdigest()
    return "the judge's second prompt", f"sha256 {digest[:12]}", f"sha256 {OFFICIAL_AGAIN[:12]}"


FIELDS = ("grade", "score", "correctness")
_GRADE = re.compile(
    r"(?<![\w.,/<>~≈≤≥+-])([0-9]*\.[0-9]+|[0-9]+)(?:\s*(?:/|out of)\s*1(?:\.0+)?)?(?![\w/%-]|[.,][0-9])", re.IGNORECASE
)
_DIGIT = re.compile(r"\d")
_OPEN = re.compile(r"(?<![\d.])\d\.\s*$")
"""The beginning of a fraction, where a reply of three tokens may have been cut."""


def read_grade(reply: str) -> float | None:
    """The grade of a reply in which one number stands, and that on the 0-1 scale ("0.7", "**0.7**", "Score: 1.0").

    Of a JSON object the field of the grade is read. None for anything else: no number, two different ones, a range, a
    percentage, another scale, one that is denied, quoted or put into another's mouth.
    """
    field = field_of(reply, *FIELDS)
    reply = own_words(reply) if field is None else field
    numbers = list(_GRADE.finditer(reply))
    if _DIGIT.search(_GRADE.sub("", reply)) or len({float(match[1]) for match in numbers}) != 1 or _OPEN.search(reply):
        return None
    if not all(is_plain(reply, match.start(), match.end()) for match in numbers):
        return None
    grade = float(numbers[0][1])
    return grade if 0.0 <= grade <= 1.0 else None


def read_grade_officially(reply: str) -> float | None:
    """REPRODUCE (official_*): whatever Python takes for a number before the first blank, unless it is off the scale.

    So " 0.6" cannot be read (the text before its first blank is empty), and "nan" is a grade.
    """
    try:
        grade = float(reply.split(" ", maxsplit=1)[0].strip())
    except ValueError:
        return None
    return None if grade > 1.0 or grade < 0.0 else grade


def _set_name(sample: Sample) -> str:
    return "set_" + "+".join(sample.data["capability"])


def _counts(sample: Sample, grade: float, prefix: str) -> dict[str, float]:
    names = ("total", *sample.data["capability"], _set_name(sample))
    return {f"{prefix}{what}_{name}": value for name in names for what, value in (("graded", 1.0), ("grade", grade))}


def first_grades(replies: Sequence[str]) -> tuple[float | None, float | None]:
    """The first grade among ``replies``, and the first that the official reader finds in its five."""
    plain = (read_grade(reply) for reply in replies)
    official = (read_grade_officially(reply) for reply in replies[:OFFICIAL_READ])
    return next((g for g in plain if g is not None), None), next((g for g in official if g is not None), None)


def _metrics(prefix: str, names: Sequence[str]) -> list[Metric]:
    """The total with its spread over judge runs (population standard deviation, as official), then the parts."""
    of: dict[str, Any] = {n: ratio(f"{prefix}grade_{n}", f"{prefix}graded_{n}") for n in ("total", *names)}
    total = Metric(f"{prefix}total", of["total"], True)
    spread = Metric(f"{prefix}total_std", of["total"], False, over_runs="std")
    return [total, spread, *(Metric(f"{prefix}{name}", of[name], True) for name in names)]


BENCHMARKS.register("mm_vet", MMVet)
