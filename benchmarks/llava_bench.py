"""LLaVA-Bench (in the wild): a judge scores the answer beside a reference answer, 1 to 10 each.

Paper: Liu et al. 2023, "Visual Instruction Tuning". Code: haotian-liu/LLaVA at c121f04 (`eval_gpt_review_bench.py`,
`summarize_gpt_review.py`). The figure is the answer's mean score over the reference's, in percent. Plain metrics read
two scores on the reply's first line however they are set, and leave out replies without them; officially such a reply
is the pair -1, -1, averaged in (``official_*``).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import files
from benchmarks.common.general_prompts import PAIR_RULE
from benchmarks.common.llava_protocol import LlavaProtocol
from benchmarks.common.official import Prompt
from benchmarks.common.replies import fields_of, own_words
from benchmarks.common.sources import APACHE, GITHUB, HUB, image_urls
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
    Sums,
    Verdict,
    ratio,
)
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Listed, Source
from harness.util.jsonl import iter_jsonl
from harness.util.ranges import at_least

OFFICIAL_ROWS = {"questions.jsonl": 60, "context.jsonl": 24, "answers_gpt4.jsonl": 60}
RULE = "rule.json"
RULES = "text:dd7345a44ce9f7a24e51a30ee030cdab32346f9d08e3359c80545ff1312b1e07"
CATEGORIES = ("conv", "detail", "complex")
PREFIX = "llava_bench_"
DECODING = Decoding(max_new_tokens=1024)
BEST = 10.0
SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."
Pair = tuple[float, float]
TABLE = f"{GITHUB}/haotian-liu/LLaVA/c121f0432da27facab705978f83c4ada465e46fd/llava/eval/table"
DATA_SET = f"{HUB}/liuhaotian/llava-bench-in-the-wild"


def _images(folder: Path) -> dict[str, str]:
    questions = files.need(folder, "questions.jsonl", what="LLaVA-Bench's questions")
    return image_urls([questions], f"{DATA_SET}/resolve/main/images")


SOURCES: tuple[AnySource, ...] = (
    *(Source(name, f"{DATA_SET}/resolve/main/{name}", "", APACHE) for name in OFFICIAL_ROWS),
    Source(RULE, f"{TABLE}/rule.json", RULES, APACHE),
    Listed("images", "images", _images),
)


@dataclass(frozen=True, kw_only=True)
class LlavaBench(LlavaProtocol, Benchmark):
    """LLaVA-Bench (in the wild).

    Settings:
        attempts: how often the judge is asked for scores it did not give (officially once: none are -1, -1).
        judge_runs: independent judge runs; LLaVA's published reviews are three.
    """

    name: ClassVar[str] = "llava_bench"
    paper: ClassVar[str] = "https://arxiv.org/abs/2304.08485"
    title: ClassVar[str] = "LLaVA-Bench"
    headline: ClassVar[tuple[str, ...]] = ("all", "conv", "detail", "complex")
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    ratings: ClassVar[Mapping[str, Level]] = {"answer_all": "interval", "reference_all": "interval"}
    suites: ClassVar[tuple[str, ...]] = ("general",)
    ability: ClassVar[str] = "all"
    needs_judge: ClassVar[bool] = True
    rated_first: ClassVar[bool] = True

    attempts: Annotated[int, at_least(1)] = 2
    judge_runs: Annotated[int, at_least(1)] = 1
    decoding: Decoding = DECODING

    @property
    def version(self) -> str:
        return self._version("auto")  # rule.json, where it is in the data directory, else the project's own wording

    def _version(self, prompt: str) -> str:
        return f"llava_bench-1 prompt={prompt} parser=first-line-2 attempts={self.attempts}"

    @property
    def mode(self) -> str:
        return "two scores read, none are an error"

    def load(self, root: Path) -> BenchmarkData:
        """The questions in file order, ids as ``question_id``; images from images/.

        Reads questions.jsonl, context.jsonl, answers_gpt4.jsonl and, for the judge's instruction, rule.json.
        """
        contexts = _by(files.need(root, "context.jsonl", what="LLaVA-Bench's captions"), "image", "caption")
        references = _by(files.need(root, "answers_gpt4.jsonl", what="LLaVA-Bench's answers"), "question_id", "text")
        path = files.need(root, "questions.jsonl", what="LLaVA-Bench's questions")
        folder = root / "images" if (root / "images").is_dir() else root
        samples: list[Sample] = []
        rules: dict[str, Prompt] = {}
        for number, row in iter_jsonl(path):
            where = f"{path} line {number}"
            id_, image = str(files.field_of(row, "question_id", (int, str), where)), str(row.get("image", ""))
            if image not in contexts:
                raise DataError(f"{where}: image {image!r} has no row in context.jsonl.")
            if id_ not in references:
                raise DataError(f"{where}: question_id {id_} has no row in answers_gpt4.jsonl.")
            category = files.field_of(row, "category", str, where).removeprefix(PREFIX)
            if category not in rules:
                rules[category] = _rule(root, category)
            data = {
                "category": category,
                "context": contexts[image],
                "reference": references[id_],
                "rule": rules[category].name,
            }
            prompt = files.field_of(row, "text", str, where)
            samples.append(Sample(id_, prompt, Image(path=folder / image), data, image, rules[category]))
        by_name = {rule.name: rule for rule in rules.values()}
        version = self._version(",".join(sorted(by_name)) or PAIR_RULE.name)
        asked = files.official_part("the judge's prompt", files.find(root, RULE), RULES, RULE, PAIR_RULE.name)
        info = {"prompt": [rule.record for rule in by_name.values()], **unofficial(asked)}
        return BenchmarkData(samples, version, info, _notes(root))

    def part(self, sample: Sample) -> str:
        return str(sample.data["category"])

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        data = sample.data
        prompt = (
            f"[Context]\n{data['context']}\n\n[Question]\n{sample.prompt}\n\n"
            f"[Assistant 1]\n{data['reference']}\n\n[End of Assistant 1]\n\n"
            f"[Assistant 2]\n{answer}\n\n[End of Assistant 2]\n\n"
            f"[System]\n{sample.resources.text}\n\n"
        ) + (PAIR_RULE.again if attempt else "")  # officially it is asked once
        return JudgePrompt(prompt, system=SYSTEM, temperature=0.2, max_tokens=1024)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        pair = read_scores(replies[-1]) if replies else None
        if pair is None:
            raise JudgeParseError(f"no two scores from 1 to {BEST:g} on the reply's first line")
        values = {**_counts(sample, pair, ""), **_official(sample, replies)}
        return Verdict(values, details={"reference_score": pair[0], "score": pair[1]})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        error = f"judge: no two scores from 1 to {BEST:g} in {len(replies)} replies"
        return Verdict(_official(sample, replies), error=error)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        present = {sample.data["category"] for sample in samples}
        names = ["all", *CATEGORIES, *sorted(present - {*CATEGORIES, "all"})]
        return _metrics("", names) + _metrics("official_", names)


def _notes(root: Path) -> list[str]:
    if files.find(root, RULE):
        notes = files.notes(root, {(RULE,): RULES})
    else:
        notes = [f"rule.json: absent; the judge is asked in {PAIR_RULE.name}"]
    for name, official in OFFICIAL_ROWS.items():
        notes += files.count_note(name, sum(1 for _ in iter_jsonl(root / name)), official)
    return notes


def _rule(root: Path, category: str) -> Prompt:
    """The judge's instruction for a category; samples (and so the results) carry its short name."""
    path = files.find(root, RULE)
    if path is None:
        return PAIR_RULE
    rules = files.read_json(path)
    rule = rules.get(PREFIX + category) if isinstance(rules, dict) else None
    if not isinstance(rule, dict):
        raise DataError(f"{path}: no rule {PREFIX + category!r} for the questions of category {category!r}.")
    text = files.field_of(rule, "prompt", str, f"{path}, {PREFIX + category}")
    return Prompt(text, f"rule.json-{hashlib.sha256(text.encode()).hexdigest()[:8]}", True, RULE)


def _by(path: Path, key: str, value: str) -> dict[str, str]:
    """``value`` by ``key`` of every row; a value that is a list of lines is joined."""
    values = {}
    for number, row in iter_jsonl(path):
        where = f"{path} line {number}"
        said = files.field_of(row, value, (str, list), where)
        said = said if isinstance(said, str) else "\n".join(files.strings_of(row, value, where))
        values[str(files.field_of(row, key, (int, str), where))] = said
    return values


_NUMBER = r"(-?[0-9]+(?:\.[0-9]+)?)(?:\s*/\s*10)?"
_LABEL = r"(?:scores?\s*[:=]?\s*)?"
_PAIR = re.compile(rf"[\s\[(|]*{_LABEL}{_NUMBER}\s*(?:[,;|]|\band\b|\s)\s*{_NUMBER}[\s\]).|]*", re.IGNORECASE)
_WHOSE = r"\s*(?:'s\s*)?(?:scores?|rating)?\s*[:=]\s*"
_NAMED = re.compile(rf"\s*assistant\s*1{_WHOSE}{_NUMBER}[\s,;.]*assistant\s*2{_WHOSE}{_NUMBER}[\s.]*", re.IGNORECASE)
_DRESS = re.compile(
    r"(?<![\d*_`])[*_`]+|[*_`]{1,6}(?![\d*_`])|^[ \t]{0,9}(?:#{1,6}|[-•](?=[ \t][*_`]{0,3}[A-Za-z]))", re.MULTILINE
)
"""Of Markdown: bold and code, headings, and the marks of a list of words; "8*7" is no pair."""


def read_scores(reply: str) -> Pair | None:
    """The reference's and the answer's score, both on the 1-10 scale, of a reply's first line; else None.

    Scores that are named ("Assistant 1: 8") may also stand on the first two lines, or in a JSON object.
    """
    fields = fields_of(reply)
    if fields is not None:
        scores = {name: value for name, value in fields.items() if isinstance(value, int | float)}
        reply = "\n".join(f"{name}: {value}" for name, value in scores.items())
    # Blanks count as one each, so that no pattern tries all ways of dividing a run of them.
    lines = [" ".join(line.split()) for line in _undressed(reply).splitlines() if line.strip()]
    if not lines:
        return None
    two = " ".join(lines[:2])
    match = _PAIR.fullmatch(lines[0]) or _NAMED.fullmatch(lines[0]) or _NAMED.fullmatch(two)
    if match is None:
        return None
    pair = (float(match[1]), float(match[2]))
    return pair if all(1.0 <= score <= BEST for score in pair) else None


def _undressed(reply: str) -> str:
    """``reply`` as plain text; a fence's line ("```json") is none."""
    return _DRESS.sub("", re.sub(r"^```\w*$", "", own_words(reply), flags=re.MULTILINE))


def read_scores_officially(reply: str) -> Pair:
    """REPRODUCE (official_*): two numbers between single blanks on the first line, whatever they are; else -1, -1."""
    try:
        first, second = reply.split("\n", maxsplit=1)[0].replace(",", " ").split(" ")
        return float(first), float(second)
    except ValueError:
        return -1.0, -1.0


def _counts(sample: Sample, pair: Pair, prefix: str) -> dict[str, float]:
    return {
        f"{prefix}{what}_{name}": value
        for name in {"all", sample.data["category"]}
        for what, value in (("reviewed", 1.0), ("reference", pair[0]), ("answer", pair[1]))
    }


def _official(sample: Sample, replies: Sequence[str]) -> dict[str, float]:
    """The official counts: the first reply decides, readable or not."""
    return _counts(sample, read_scores_officially(replies[0]), "official_") if replies else {}


_round3 = np.vectorize(lambda value: round(value, 3), otypes=[float])


def _relative(prefix: str, name: str) -> Callable[[Sums], NDArray[np.float64]]:
    """The answer's mean score over the reference's, each rounded to three decimals as officially."""
    reference, answer = (
        ratio(f"{prefix}{who}_{name}", f"{prefix}reviewed_{name}", 1.0) for who in ("reference", "answer")
    )

    def of(sums: Sums) -> NDArray[np.float64]:
        below = _round3(reference(sums))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(below == 0, np.nan, 100.0 * _round3(answer(sums)) / below)

    return of


def _metrics(prefix: str, names: Sequence[str]) -> list[Metric]:
    """The relative scores, then both means on a 0-100 scale (LLaVA prints them beside)."""
    relative: list[Metric] = []
    means: list[Metric] = []
    for name in names:
        relative.append(Metric(f"{prefix}{name}", _relative(prefix, name), True, limits=(0.0, math.inf)))
        for who, better in (("reference", None), ("answer", True)):
            of = ratio(f"{prefix}{who}_{name}", f"{prefix}reviewed_{name}", scale=10.0)
            means.append(Metric(f"{prefix}{name}_{who}", of, better))
    spread = Metric(f"{prefix}all_std", relative[0].compute, False, over_runs="std", limits=(0.0, math.inf))
    return [*relative, spread, *means]


BENCHMARKS.register("llava_bench", LlavaBench)
