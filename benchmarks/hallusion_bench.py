"""HallusionBench: yes/no questions about figures and edited figures; a judge says whether an answer is right.

Paper: Guan et al. 2024 (CVPR), "HallusionBench". Code: tianyi-lab/HallusionBench `utils.py` and `evaluation.py` at
744007c. aAcc counts questions, qAcc questions that are answered rightly for all figures of a set, fAcc figures all of
whose questions are; the published "easy" and "hard aAcc" are qAcc over the unedited and the edited figures. A question
of kind VS is also asked without its figure, where "I cannot know" is right. Judged replies that give no clear verdict
are errors; officially they are "unclear" (``official_*``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import files
from benchmarks.common.correctness import Correctness, read_correctness, read_correctness_officially
from benchmarks.common.official import OfficialPrompt, Prompt, PromptChoice
from benchmarks.common.prompts import CORRECTNESS, fill
from benchmarks.common.sources import GITHUB
from benchmarks.common.yes_no import PARSER, read_yes_no
from benchmarks.common.yes_no_figures import BALANCED, TITLES, TRIVIAL_ANSWERS, YES_RATIO, balanced_accuracy, share
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
    groups_by,
    ratio,
)
from harness.protocols.conversation import Image
from harness.protocols.official import unofficial
from harness.util.fetching import AnySource, Manual, Source
from harness.util.names import fault_of_name
from harness.util.ranges import at_least

REPOSITORY = f"{GITHUB}/tianyi-lab/HallusionBench/744007c232c292942c7f80eb61edb2465482da31"
QUESTIONS = "HallusionBench.json"
OFFICIAL_FILE = "text:ca6e0fb677dd56e5fb0e2700d06c58d01f8a6ae66e0f1773b2ac48c0a095d051"
OFFICIAL_ROWS = 1129
OFFICIAL_PROMPT = OfficialPrompt(
    ("utils.py",),
    "prompt",
    "944100e4a792647c4aa9ad07b694f090bc3dd3b18bb26d2b3a7528a8428cf2b3",
    function="evaluate_by_chatgpt",
)
IMAGES = "hallusion_bench"
SHORT = " Please answer yes or no."
DECODING = Decoding(max_new_tokens=512)
FIELDS = ("category", "subcategory", "set_id", "figure_id", "question_id", "visual_input", "gt_answer")
SOURCES: tuple[AnySource, ...] = (
    Source(QUESTIONS, f"{REPOSITORY}/{QUESTIONS}", OFFICIAL_FILE, "BSD-3-Clause"),
    Source(
        "utils.py",
        f"{REPOSITORY}/utils.py",
        "text:535734ad70c8ea14253131ea59e4d2df6af4fae5341f044d226a8e78eaeb9c30",
        "BSD-3-Clause",
    ),
    Manual(
        IMAGES,
        "hallusion_bench.zip",
        "https://drive.google.com/file/d/1eeO1i0G9BSZTE1yd5XeFwmrbe1hwyf_0/view",
        "Its home is a page that asks before it gives the file.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class HallusionBench(Benchmark):
    """HallusionBench.

    Settings:
        reading: ``judge`` compares an answer with the reference (official); ``rule`` reads yes or no and needs no judge
            (an answer that says neither is unclear).
        short: whether a question ends with the request for yes or no, as VLMEvalKit asks it.
        prompt: ``official`` is read from utils.py in the data directory, ``own`` is the project's wording, ``auto`` is
            the official one where it is there.
        attempts: how often the judge is asked for a verdict it did not give (officially once: none is "unclear").
    """

    name: ClassVar[str] = "hallusion_bench"
    paper: ClassVar[str] = "https://arxiv.org/abs/2310.14566"
    title: ClassVar[str] = "HallusionBench"
    headline: ClassVar[tuple[str, ...]] = ("a_acc", "q_acc", "f_acc", BALANCED, YES_RATIO, "unclear")
    sources: ClassVar[tuple[AnySource, ...]] = SOURCES
    metric_titles: ClassVar[Mapping[str, str]] = {
        "a_acc": "aAcc",
        "q_acc": "qAcc",
        "f_acc": "fAcc",
        "easy_q_acc": "easy",
        "hard_q_acc": "hard",
        "unclear": "Unclear",
        **TITLES,
    }
    ratings: ClassVar[Mapping[str, Level]] = {"right": "nominal"}
    trivial_answers: ClassVar[Mapping[str, str]] = TRIVIAL_ANSWERS
    image_optional: ClassVar[bool] = True

    reading: Literal["judge", "rule"] = "judge"
    short: bool = False
    prompt: PromptChoice = "auto"
    attempts: Annotated[int, at_least(1)] = 2
    decoding: Decoding = DECODING

    @property
    def needs_judge(self) -> bool:
        return self.reading == "judge"

    @property
    def version(self) -> str:
        return self._version(self.prompt)

    def _version(self, prompt: str) -> str:
        how = f"prompt={prompt} parser=last-verdict-4 attempts={self.attempts}" if self.needs_judge else PARSER
        return f"hallusion_bench-1 reading={self.reading} short={self.short} {how}"

    @property
    def mode(self) -> str:
        return (
            "one verdict of the judge, none is an error" if self.needs_judge else "yes or no read, neither is unclear"
        )

    def load(self, root: Path) -> BenchmarkData:
        """The questions in file order, ids "VS_chart_0_1_0" (category, subcategory, set, figure, question)."""
        path = files.need(root, QUESTIONS, what="HallusionBench's questions")
        prompt = OFFICIAL_PROMPT.find(root, CORRECTNESS, self.prompt) if self.needs_judge else None
        samples = [self._sample(row, root, f"{path} row {i}", prompt) for i, row in enumerate(files.read_rows(path))]
        id_, count = max(Counter(sample.id for sample in samples).items(), key=lambda each: each[1], default=("", 0))
        if count > 1:
            raise DataError(f"{path}: {id_} stands there {count} times; every question once is expected.")
        notes = files.notes(root, {(QUESTIONS,): OFFICIAL_FILE}) + files.count_note(
            QUESTIONS, len(samples), OFFICIAL_ROWS
        )
        if prompt is None:
            return BenchmarkData(samples, self.version, notes=notes)
        notes += OFFICIAL_PROMPT.note(root, self.prompt)
        info = {"prompt": prompt.record, **unofficial(OFFICIAL_PROMPT.part(prompt))}
        return BenchmarkData(samples, self._version(prompt.name), info, notes)

    def _sample(self, row: Mapping[str, Any], root: Path, where: str, prompt: Prompt | None) -> Sample:
        data = {name: str(files.field_of(row, name, (str, int), where)) for name in FIELDS}
        if data["visual_input"] not in ("0", "1", "2"):
            raise DataError(f"{where}: visual_input should be 0, 1 or 2, found {data['visual_input']!r}.")
        if data["gt_answer"] not in ("0", "1"):
            raise DataError(f"{where}: gt_answer should be 0 (no) or 1 (yes), found {data['gt_answer']!r}.")
        for name in ("category", "subcategory", "set_id", "figure_id"):
            if fault := fault_of_name(data[name]):
                raise DataError(f"{where}: {name} names folders and files: {fault}.")
        data["reference"] = files.field_of(row, "gt_answer_details", str, where)
        question = files.field_of(row, "question", str, where)
        image = None if data["visual_input"] == "0" else Image(path=_image(root, data))
        return Sample(
            _joined(data, "figure_id", "question_id"), question + (SHORT if self.short else ""), image,
            data | {"question": question}, _joined(data), prompt,
        )  # fmt: skip

    def part(self, sample: Sample) -> str:
        return f"{sample.data['category']}/{sample.data['subcategory']}"

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        if not self.needs_judge:
            return None
        template: Prompt = sample.resources
        question, reference = sample.data["question"], sample.data["reference"]
        if template.official:
            values = {"question": question, "gt_answer_details": reference, "output_entry": answer}
        else:
            values = {"question": question, "reference": reference, "answer": answer}
        prompt = fill(template.text, **values) + (CORRECTNESS.again if attempt else "")  # officially it is asked once
        return JudgePrompt(prompt, temperature=0.0, max_tokens=512)  # officially what the API takes by default

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        """From the last reply, or by the rule from the answer's own yes or no."""
        if not self.needs_judge:
            return _by_rule(sample, answer)
        judged = read_correctness(replies[-1]) if replies else None
        if judged is None:
            raise JudgeParseError("no one of correct, incorrect, unclear in the last line of the reply")
        values = {**_counts(sample, judged, ""), **_official(sample, replies)}
        return Verdict(values, details={"verdict": judged})

    def trivial_verdict(self, sample: Sample, answer: str) -> Verdict | None:
        return _by_rule(sample, answer)  # of a plain yes or no every judge says what the rule does

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        error = f"judge: none of correct, incorrect, unclear in {len(replies)} replies"
        return Verdict(_official(sample, replies), error=error)

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        official = _metrics("official_", samples) if self.needs_judge else []
        return [*_metrics("", samples), *official]


def _by_rule(sample: Sample, answer: str) -> Verdict:
    said = read_yes_no(answer, sample.data["question"])
    expected = "yes" if sample.data["gt_answer"] == "1" else "no"
    read: Correctness = "unclear" if said is None else "correct" if said == expected else "incorrect"
    return Verdict(_counts(sample, read, ""), details={"read": said, "verdict": read})


def _joined(data: Mapping[str, Any], *names: str) -> str:
    return "_".join(data[name] for name in ("category", "subcategory", "set_id", *names))


def _image(root: Path, data: Mapping[str, str]) -> Path:
    """CATEGORY/SUBCATEGORY/SET_FIGURE.png, in the folder of the official archive or directly in ``root``."""
    inside = Path(data["category"], data["subcategory"], f"{data['set_id']}_{data['figure_id']}.png")
    return root / inside if (root / inside).is_file() else root / IMAGES / inside


def _without_figure(data: Mapping[str, Any]) -> bool:
    """Whether a question is asked without the figure that it is about, so that the answer can only be guessed."""
    return bool(data["category"] == "VS" and data["figure_id"] == "0")


def _official(sample: Sample, replies: Sequence[str]) -> dict[str, float]:
    """The official counts: the first reply decides, readable or not."""
    return _counts(sample, read_correctness_officially(replies[0]), "official_") if replies else {}


def _counts(sample: Sample, read: Correctness, prefix: str) -> dict[str, float]:
    right = read == "correct" or (read == "unclear" and _without_figure(sample.data))
    counts = {"asked": 1.0, "right": float(right), "unclear": float(read == "unclear")}
    if not prefix:
        yes = sample.data["gt_answer"] == "1"
        said_yes = read == ("correct" if yes else "incorrect")
        counts |= {"asked_yes": float(yes), "right_yes": float(right and yes), "said_yes": float(said_yes)}
    return {f"{prefix}{name}": value for name, value in counts.items()}


def _metrics(prefix: str, samples: Sequence[Sample]) -> list[Metric]:
    def per_question(sample: Sample) -> str:
        return _joined(sample.data, "question_id")

    def per_figure(sample: Sample) -> str | None:
        return None if _without_figure(sample.data) else _joined(sample.data, "figure_id")

    unedited = [sample for sample in samples if sample.data["visual_input"] != "2"]
    edited = [sample for sample in samples if sample.data["visual_input"] == "2"]
    right = ratio(f"{prefix}right", f"{prefix}asked")
    answers = [] if prefix else [Metric(BALANCED, _balanced, True), Metric(YES_RATIO, _yes_ratio, None)]
    return [
        Metric(f"{prefix}a_acc", right, True),
        Metric(f"{prefix}q_acc", right, True, groups=groups_by(samples, per_question)),
        Metric(f"{prefix}f_acc", right, True, groups=groups_by(samples, per_figure)),
        Metric(f"{prefix}easy_q_acc", right, True, groups=groups_by(unedited, per_question)),
        Metric(f"{prefix}hard_q_acc", right, True, groups=groups_by(edited, per_question)),
        *answers,
        Metric(f"{prefix}unclear", ratio(f"{prefix}unclear", f"{prefix}asked"), None),
    ]


def _balanced(sums: Sums) -> NDArray[np.float64]:
    right, right_yes, asked_yes = sums["right"], sums["right_yes"], sums["asked_yes"]
    return balanced_accuracy(right_yes, asked_yes, right - right_yes, sums["asked"] - asked_yes)


def _yes_ratio(sums: Sums) -> NDArray[np.float64]:
    """Of the answers that say yes or no."""
    return share(sums["said_yes"], sums["asked"] - sums["unclear"])


BENCHMARKS.register("hallusion_bench", HallusionBench)
