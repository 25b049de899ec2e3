"""A benchmark: what colour has it? A judge says whether the answer is right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.common.files import field_of, need
from harness.protocols.benchmark import (
    Benchmark,
    BenchmarkData,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Metric,
    Sample,
    Verdict,
    ratio,
)
from harness.protocols.conversation import Image
from harness.util.jsonl import iter_jsonl

SHORT = Decoding(max_new_tokens=32)
PROMPT = """A model was asked for the colour of the {object}, which is {colour}. It answered:
<answer>
{answer}
</answer>
Is that right? Reply with yes or no."""


@dataclass(frozen=True, kw_only=True)
class Colours(Benchmark):
    """What colour has it? Every field below is a setting: --set attempts=3."""

    name: ClassVar[str] = "colours"
    paper: ClassVar[str] = ""
    suites: ClassVar[tuple[str, ...]] = ("colour",)  # bench --suite colour
    needs_judge: ClassVar[bool] = True
    image_optional: ClassVar[bool] = True  # a question may come without an image
    version: ClassVar[str] = "colours-1 prompt=1 parser=1"  # whatever shapes the score and is not data
    mode: ClassVar[str] = "yes or no"

    attempts: int = 2  # the judge is asked once more if its reply cannot be read
    judge_runs: int = 1
    decoding: Decoding = SHORT

    def load(self, root: Path) -> BenchmarkData:
        path = need(root, "colours.jsonl", what="the questions")
        rows = [(row, f"{path} line {number}") for number, row in iter_jsonl(path)]
        samples = [
            Sample(
                id=str(field_of(row, "id", (int, str), where)),
                prompt=f"What colour is the {field_of(row, 'object', str, where)}?",
                image=Image(path=root / row["image"]) if "image" in row else None,
                data={"object": row["object"], "colour": field_of(row, "colour", str, where)},
                group=str(row.get("image", row["id"])),  # intervals resample images
            )
            for row, where in rows
        ]
        return BenchmarkData(samples, self.version)

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        return JudgePrompt(PROMPT.format(**sample.data, answer=answer), max_tokens=8)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        said = replies[-1].strip(" .*\n").lower()  # the judge's words only, never the answer's
        if said not in ("yes", "no"):
            raise JudgeParseError("neither yes nor no")
        return Verdict({"asked": 1.0, "right": float(said == "yes")})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        return Verdict({}, error="judge: neither yes nor no")  # a failed sample, in no figure

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return [Metric("right", ratio("right", "asked"), higher_is_better=True)]
