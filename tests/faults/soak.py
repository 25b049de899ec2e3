"""A long judge stage against an endpoint of which three calls in ten fail: nothing invented, nothing lost, no leak.

    python -m tests.faults.soak [--questions 200000] [--at-once 10000]

The questions come in evaluations of ``--at-once``, as the benchmarks of a long ablation do, all in one process and one
results file. The endpoint runs in a process of its own. Prints one line of figures; the exit code is 1 where a score
was invented, a reply is not stored once, or memory grew by 50 MB from a fifth of the questions to their end.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

from harness.chat.settings import ChatSettings
from harness.evaluation.judge import judge_answers
from harness.judges.openai import OpenAIJudge
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
from harness.protocols.model import Answer
from harness.store import Store
from tests.harness.fault_server import Fault, FaultServer, completion, http

SHARE = 0.3
"""Of the calls fail in passing."""
LASTING = 50
"""One question in so many is refused for good, one has its reply cut, one is answered under another name."""
MOST_GROWTH = 50.0
"""MB."""
SETTINGS = ChatSettings(tries=12, waits=60, first_wait=0.002, longest_wait=0.02, timeout=20, give_up=10**6)
DRAW = random.Random(0)
"""Which calls fail."""

PASSING: Sequence[Fault | dict[str, Any]] = (
    http(500),
    http(503, retry_after="0"),
    http(529),
    http(429, retry_after="0"),
    http(408),
    Fault("reset"),
    Fault("raw", b'{"choices": [{"message": {"content": "Rating: 6'),
    Fault("raw", b"<html>busy</html>", content_type="text/html"),
    Fault("raw", b'{"error": {"message": "Rating: 6 overloaded", "code": 503}}'),
    completion(None),
)


def rating_of(number: int) -> int:
    """What the judge says of a question."""
    return number * 7 % 6 + 1


def is_lasting(number: int) -> bool:
    """Whether no try of this question gives a reply."""
    return number % LASTING < 3


def play(prompt: str, nth: int) -> str | Fault | dict[str, Any]:
    """The endpoint: a rating by the question's number, or a fault."""
    number = int(re.findall(r"number (\d+)\.", prompt)[0])
    rating = f"Rating: {rating_of(number)}"
    lasting: list[Fault | dict[str, Any]] = [
        http(400, b'{"error": {"message": "Rating: 6 is refused"}}'),
        completion("", choices=[{"message": {"content": "Rating: 6"}, "finish_reason": "length"}]),
        completion("Rating: 6", model="another"),
    ]
    if is_lasting(number):
        return lasting[number % LASTING]
    return DRAW.choice(PASSING) if DRAW.random() < SHARE else rating


@dataclass(frozen=True, kw_only=True)
class Soaked(Benchmark):
    """Questions ``first`` to ``first + n``, each with one rating."""

    name: ClassVar[str] = "soaked"
    needs_judge: ClassVar[bool] = True
    attempts: ClassVar[int] = 1
    judge_runs: ClassVar[int] = 1
    decoding: ClassVar[Decoding] = Decoding()
    version: ClassVar[str] = "1"
    mode: ClassVar[str] = ""
    first: int = 0
    n: int = 0

    def load(self, root: Path) -> BenchmarkData:
        return BenchmarkData([Sample(str(self.first + i), "What is it?") for i in range(self.n)], self.version)

    def judge_prompt(self, sample: Sample, answer: str, attempt: int) -> JudgePrompt | None:
        return JudgePrompt(f"Judge answer number {sample.id}. " + "words " * 100)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        if not replies:
            raise JudgeParseError
        return Verdict({"n": 1.0, "rating": float(replies[-1][-1])})

    def unreadable(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        return Verdict({}, error="unreadable")

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        return [Metric("rating", ratio("rating", "n", 1.0), True)]


@dataclass
class Figures:
    """What a soak found. ``growth`` in MB, from a fifth of the questions to their end."""

    questions: int
    scored: int = 0
    failed: int = 0
    invented: int = 0
    lost: int = 0
    stored: int = 0
    seconds: float = 0.0
    resident: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        return self.resident[-1] - self.resident[len(self.resident) // 5]

    @property
    def faults(self) -> list[str]:
        """What is wrong; empty where nothing is."""
        found = {"invented scores": self.invented, "scores lost": self.lost}
        found["replies not stored once"] = abs(self.stored - self.questions)
        wrong = [f"{count} {what}" for what, count in found.items() if count]
        return wrong + ([f"memory grew by {self.growth:.1f} MB"] if self.growth > MOST_GROWTH else [])

    def __str__(self) -> str:
        rate = self.questions / self.seconds
        return (
            f"{self.questions} questions, {SHARE:.0%} of the calls failing: {self.scored} scored, "
            f"{self.failed} failed, {self.invented} invented, {self.lost} lost, {self.stored} stored once, "
            f"memory {self.growth:+.1f} MB, {rate:.0f} a second"
        )


def soak(url: str, questions: int, at_once: int, folder: Path) -> Figures:
    """Judge ``questions`` answers by the endpoint at ``url``, ``at_once`` in an evaluation."""
    figures, began = Figures(questions), time.perf_counter()
    store = Store(folder / "r.sqlite")
    judge = OpenAIJudge(f"judge@{url}", settings=SETTINGS)
    for first in range(0, questions, at_once):
        benchmark = Soaked(first=first, n=min(at_once, questions - first))
        samples = benchmark.load(folder).samples
        answers = {sample.id: Answer("It is a dog.") for sample in samples}
        for judged in judge_answers(store, benchmark, samples, answers, judge):
            number, verdict = int(judged.sample.id), judged.verdict
            figures.failed += verdict.error is not None
            figures.scored += verdict.error is None
            figures.invented += verdict.error is None and (
                is_lasting(number) or verdict.counts["rating"] != rating_of(number)
            )
            figures.lost += verdict.error is not None and not is_lasting(number)
        figures.resident.append(resident_mb())
    kept = Counter(row["question_key"] for row in store.rows("reply"))
    figures.stored = sum(count == 1 for count in kept.values())
    store.close()
    figures.seconds = time.perf_counter() - began
    return figures


def resident_mb() -> float:
    """Resident memory of this process now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def serve(ours: Connection) -> None:
    """The endpoint, until the other end of ``ours`` is closed; its address goes through it."""
    with FaultServer(play, keep=False) as server:
        ours.send(server.url)
        ours.poll(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=200_000)
    parser.add_argument("--at-once", type=int, default=10_000, help="questions of one evaluation")
    options = parser.parse_args()
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as folder:
        figures = soak(ours.recv(), options.questions, options.at_once, Path(folder))
    ours.close()
    server.terminate()
    server.join()
    print(figures)
    if figures.faults:
        sys.exit("; ".join(figures.faults))


if __name__ == "__main__":
    main()
