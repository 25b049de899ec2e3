"""Readers of what models say take time in proportion to its length, whatever it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from aligners.pair_hardness.llm_splitter import read_pieces
from aligners.pair_hardness.rule_splitter import RuleSplitter
from benchmarks.common.correctness import read_correctness
from benchmarks.common.object_replies import read_objects_officially, read_objects_tolerantly
from benchmarks.common.ratings import read_rating
from benchmarks.common.yes_no import read_yes_no
from benchmarks.llava_bench import read_scores, read_scores_officially
from benchmarks.mm_vet import read_grade, read_grade_officially
from benchmarks.mmhal import read_rating_officially
from benchmarks.pope import read_officially
from harness.protocols.reasoning import spoken

READERS: tuple[Callable[[str], object], ...] = (
    read_objects_tolerantly, read_objects_officially, read_rating, read_rating_officially, read_grade,
    read_grade_officially, read_scores, read_scores_officially, read_yes_no, read_officially, spoken, read_pieces,
    read_correctness,
)  # fmt: skip
UNITS = (
    " ", "\n", "\t", "8 ", "8", ".", ",", ", a", "[", '["', "]", "{", "(", '"', "*", "-", "9.", "rating", "rating: ",
    "rating: 6\nrating: 5\nrating: 4\nrating: 3\nrating: 2\nrating: 1\nrating: 0\n", "<think>", "</think>", "<answer>",
    "</answer> ", "<|channel|>analysis", "assistant 1: ", "etc. ", "a and ", "a, ", "and  ", "there ",
    "\u2028", "```\n", "`", "\n> ", "\\boxed{", '{"a": ', "correct ", "correct\n", "says ", "> ",
)  # fmt: skip
STARTS = ("", "8", "a.", "rating: ", "```json", "<answer>")
ENDS = ("x", "\n```")
LENGTH = 4_000
"""Characters of the shorter text; the longer one has four times as many."""
QUICK = 0.03
"""Seconds in which nothing is measured but noise; a reader of quadratic time takes longer for the longer text."""


def seconds(read: Callable[[str], object], text: str) -> float:
    started = time.thread_time()
    read(text)
    return time.thread_time() - started


def grows_too_fast(read: Callable[[str], object], start: str, unit: str, end: str) -> bool:
    """Whether four times the length takes more than ten times as long, twice."""
    short, long = (start + unit * (size // len(unit)) + end for size in (LENGTH, 4 * LENGTH))
    return all((taken := seconds(read, long)) > QUICK and taken > 10 * seconds(read, short) for _ in range(2))


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_four_times_the_reply_takes_about_four_times_as_long(read: Callable[[str], object]) -> None:
    slow = [(s, u, e) for s in STARTS for u in UNITS for e in ENDS if grows_too_fast(read, s, u, e)]
    assert not slow


def test_the_rule_splitter_takes_time_in_proportion_to_the_text() -> None:
    slow = [(s, u) for s in STARTS for u in UNITS if grows_too_fast(lambda t: RuleSplitter().split([t]), s, u, "x")]
    assert not slow
