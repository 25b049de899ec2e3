"""The checks for plug-in authors: the project's own plug-ins pass them, and each names the fault of a bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from aligners.pair_hardness.llm_splitter import LlmSplitter
from aligners.pair_hardness.rule_splitter import RuleSplitter
from aligners.pair_hardness.splitter import Splitter
from harness.judges.registry import make_judge
from harness.models.spec import load_model
from harness.protocols.benchmark import (
    BENCHMARKS,
    Benchmark,
    BenchmarkData,
    Decoding,
    JudgeParseError,
    JudgePrompt,
    Metric,
    Sample,
    Verdict,
    ratio,
)  # fmt: skip
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Answer, Model
from harness.protocols.progress import Progress, silent
from harness.store import Store
from harness.testing import check_benchmark, check_format, check_judge, check_model, check_splitter
from leaderboards.formats.registry import FORMATS, Format
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.harness.fault_server import FaultServer, http
from tests.house import ROOT
from tests.leaderboards.fakes import example


@pytest.mark.parametrize("name", BENCHMARKS.listed())
def test_every_benchmark_of_the_project_passes(name: str) -> None:
    folder = ROOT / "tests" / "golden" / name / "data"
    own: dict[str, dict[str, Any]] = {"amber": {"similarity": "exact"}, "chair_coco": {"images": 8}}
    settings = own.get(name)
    check_benchmark(BENCHMARKS.get(name), folder, settings=settings)


def test_judges_and_models_of_the_project_pass(tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_text('{"id": "0", "reply": "yes"}\n')
    (tmp_path / "answers.jsonl").write_text('{"id": "a", "response": "A dog."}\n')
    check_judge(make_judge(f"replay:{tmp_path / 'replies.jsonl'}", tmp_path))
    check_model(load_model(f"replay:{tmp_path / 'answers.jsonl'}"))
    with FaultServer(lambda prompt, nth: http(400) if prompt == "Why?" else "yes") as server:
        check_judge(make_judge(f"openai:judge@{server.url}", tmp_path))
        check_model(load_model(f"openai:judge@{server.url}"))


def test_splitters_of_the_project_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    check_splitter(RuleSplitter())
    with FaultServer(lambda prompt, nth: json.dumps([prompt.rpartition("Description:")[2].strip()])) as server:
        check_splitter(LlmSplitter("m", server.url))


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_of_the_project_passes(name: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    stores = (Store(tmp_path / "empty.sqlite"), example(tmp_path / "store"))
    check_format(FORMATS.get(name)(), [View(Snapshot(store)) for store in stores], tmp_path / "out")


@dataclass(frozen=True, kw_only=True)
class Grades(Benchmark):
    """Graded by a judge; ``fault`` says what is wrong with it."""

    fault: str = ""

    name: ClassVar[str] = "grades"
    version: ClassVar[str] = "1"
    needs_judge: ClassVar[bool] = True
    trivial_answers: ClassVar[Mapping[str, str]] = {"always 1": "1"}

    def load(self, root: Path) -> BenchmarkData:
        ids = {"twice": ("a", "a"), "empty": ()}.get(self.fault, ("a", "b"))
        made = len(list(root.iterdir()))  # "version" leaves a file behind each time, and counts them
        if self.fault == "version":
            (root / str(made)).write_text("")
        version = str(made) if self.fault == "version" else "1"
        return BenchmarkData([Sample(i, "What?") for i in ids], version)

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        return JudgePrompt("Grade it.")

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if self.fault == "zero":
            return Verdict({"n": 1.0, "grade": 0.0})
        if not replies[-1].isdigit():
            raise JudgeParseError
        return Verdict({"n": 1.0, "grade": float(replies[-1])})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if self.fault == "counts":
            return Verdict({"n": 1.0}, error="cannot be read")
        value = float("nan") if self.fault == "nan" else 1.0
        return Verdict({"official_n": value}, error=None if self.fault == "no error" else "cannot be read")

    def trivial_verdict(self, sample: Sample, answer: str) -> Verdict | None:
        return Verdict({"n": float("nan")}) if self.fault == "trivial" else None

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        grade = Metric("grade", ratio("grade", "n", 1.0), True)
        infinite = Metric("infinite", lambda sums: sums["official_n"] / 0.0, True)
        return {"same name": [grade, grade], "infinite": [infinite], "none": []}.get(self.fault, [grade])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("twice", r"same id: \['a'\]"),
        ("empty", "found no samples"),
        ("version", "version changes between two loads"),
        ("zero", "a reply that cannot be read became the plain counts"),
        ("counts", "a failed sample has the plain counts"),
        ("nan", "count 'official_n' is nan"),
        ("no error", "a verdict without an error"),
        ("same name", "two of one name"),
        ("infinite", "metric 'infinite' is infinite"),
        ("none", "gives none"),
        ("trivial", "trivial answer 'always 1': count 'n' is nan"),
    ],
)
def test_the_check_says_what_is_wrong_with_a_benchmark(fault: str, reason: str, tmp_path: Path) -> None:
    check_benchmark(Grades, tmp_path)
    with pytest.raises(AssertionError, match=reason):
        check_benchmark(Grades, tmp_path, settings={"fault": fault})


@dataclass
class Says(Judge):
    """Replies as it is told."""

    replies: list[tuple[int, Reply]]
    usd: float | None = 0.0
    name: str = "says"

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        return iter(self.replies if requests else [])

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        return self.usd


def test_the_check_says_what_is_wrong_with_a_judge() -> None:
    yes, failed = Reply("yes", "m"), Reply(None, "m", error="HTTP 500")
    check_judge(Says([(1, failed), (0, yes)]))
    for replies, reason in (
        ([(0, yes)], r"each of the positions 0 to 1 once, got \{0: 1\}"),
        ([(0, yes), (0, yes)], r"got \{0: 2\}"),
        ([(0, yes), (1, Reply(None, "m"))], "must say why"),
        ([(0, yes), (1, Reply("yes", "m", error="no"))], "a text and an error"),
    ):
        with pytest.raises(AssertionError, match=reason):
            check_judge(Says(replies))
    with pytest.raises(AssertionError, match="cost is -1"):
        check_judge(Says([(0, yes), (1, yes)], usd=-1.0))


class Changes(Model):
    """A model whose key is another one with each answer."""

    name, spec, key = "changes", "changes", "0"

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        for position, _ in enumerate(samples):
            self.key += "0"
            yield position, Answer("yes")


def test_the_check_says_what_is_wrong_with_a_model() -> None:
    with pytest.raises(AssertionError, match="key changes"):
        check_model(Changes())
    nameless = Changes()
    nameless.name = ""
    with pytest.raises(AssertionError, match="a model's name must be a string"):
        check_model(nameless)


class Forgets(Splitter):
    name = "forgets"

    def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
        return [[] if text == "Yes" else [text] for text in texts]


class Writes(Format):
    name = "writes"

    def render(self, view: View) -> str:
        return "text"

    def write(self, view: View, out: Path) -> list[Path]:
        return [out]


def test_the_check_says_what_is_wrong_with_a_splitter_or_a_format(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="'Yes' has no piece"):
        check_splitter(Forgets())
    with pytest.raises(AssertionError, match="write names files that are not there"):
        check_format(Writes(), [View(Snapshot(Store(tmp_path / "r.sqlite")))], tmp_path)
