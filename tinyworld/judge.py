"""The rule judge: answers the judge's prompts of the embedded world from the truth of its scenes, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.util.jsonl import iter_jsonl
from tinyworld.language import mentions, words

Truth = Mapping[str, Any]


class RuleJudge(Judge):
    """A judge that knows the truth.

    Args:
        argument: nothing; the rule judge has one form.
        root: the benchmark's data directory, which holds truth.jsonl.

    Raises:
        UsageError: an argument was given, or there is no truth.jsonl (real data need a real judge).
    """

    name = "rule"
    endpoint = "tinyworld"
    model = "rule-1"
    runs = 1  # it never varies
    keyed_by_sample = True  # the same words can be true of one scene and false of another

    def __init__(self, argument: str, root: Path) -> None:
        if argument:
            raise UsageError(f"--judge rule:{argument}: the rule judge takes no argument.")
        path = root / "truth.jsonl"
        if not path.is_file():
            raise UsageError(f"--judge rule: {path} is missing. It judges the embedded world only; use openai:NAME.")
        self._path = path
        self._truth: dict[str, Truth] = {str(row["id"]): row for _, row in iter_jsonl(path)}

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        """One reply for every request, in order. Raises DataError for a sample that truth.jsonl does not know."""
        for position, request in enumerate(requests):
            if request.sample_id not in self._truth:
                raise DataError(f"{self._path}: no row with id {request.sample_id!r}; build the world again.")
            yield position, Reply(reply_to(self._truth[request.sample_id], request.answer), self.model)


def reply_to(truth: Truth, answer: str) -> str:
    """What the judge says of ``answer``: Object HalBench's list, MMHal's rating, MM-Vet's grade, two scores."""
    if truth["benchmark"] == "object_halbench":
        return json.dumps(mentions(answer))
    if truth["benchmark"] == "mmhal":
        score, why = rate(truth, answer)
        return f"{why}\nRating: {score}"
    if truth["benchmark"] == "mm_vet":
        return f"{grade(truth, answer):.1f}"
    if truth["benchmark"] == "llava_bench":  # the reference is the truth
        return f"10 {1 + 9 * grade(truth, answer):.1f}\n{rate(truth, answer)[1]}"
    raise DataError(f"truth.jsonl: benchmark {truth['benchmark']!r} asks no judge.")


def grade(truth: Truth, answer: str) -> float:
    """MM-Vet's grade, 0 to 1: 1 for a right word; of a description the share of what is there.

    That share counts half where the description also names what is absent.
    """
    if truth["type"] != "holistic":
        return float(rate(truth, answer)[0] >= 5)
    there, named = truth["objects"], mentions(answer)
    share = len(set(named) & set(there)) / len(there)
    return share if set(named) <= set(there) else share / 2


def rate(truth: Truth, answer: str) -> tuple[int, str]:
    """MMHal's rating, 0 to 6, and the reason.

    Without hallucination 6 is a right full sentence or a complete description, 5 a right word, 3 an answer that says
    nothing. A false answer or an absent object is a hallucination: 1, or 2 where most of a description is right.
    """
    if truth["type"] == "holistic":
        return _rate_description(truth["objects"], mentions(answer))
    said = {word.lower() for word in words(answer)} | set(mentions(answer))
    right, false = said & set(truth["expect"]), said & (set(truth["options"]) - set(truth["expect"]))
    asked = set(mentions(truth["question"]))
    invented = set() if "no" in said else set(mentions(answer)) - set(truth["objects"]) - asked
    if false - asked or invented:
        return 1, f"The answer says {', '.join(sorted((false - asked) | invented))}, which is not so."
    if right:
        return (6 if len(words(answer)) > 2 else 5), "The answer is right."
    return 3, "The answer says nothing false and does not answer."


def _rate_description(there: Sequence[str], named: Sequence[str]) -> tuple[int, str]:
    absent = [name for name in named if name not in there]
    correct = len(set(named) & set(there))
    if absent:
        return (2 if correct > len(absent) else 1 if correct else 0), f"Not in the image: {', '.join(absent)}."
    return 3 + round(3 * correct / len(there)), f"{correct} of {len(there)} objects named, none absent."
