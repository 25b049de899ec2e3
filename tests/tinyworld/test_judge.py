"""The rule judge's replies, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.protocols.benchmark import JudgePrompt
from harness.protocols.judge import JudgeRequest
from tinyworld.judge import RuleJudge, rate, reply_to


def truth(kind: str, expect: list[str], options: list[str], question: str = "") -> dict[str, Any]:
    return {
        "benchmark": "mmhal",
        "type": kind,
        "objects": ["car", "dog"],
        "expect": expect,
        "options": options,
        "question": question,
    }


COLORS = ["red", "blue", "green", "yellow"]


def test_lists_the_objects_of_a_description_each_once() -> None:
    reply = reply_to({"benchmark": "object_halbench"}, "A street. Two buses. A car. A bus.")
    assert json.loads(reply) == ["bus", "car"]


@pytest.mark.parametrize(
    ("answer", "rating"),
    [("The car is red.", 6), ("Red", 5), ("The car is blue.", 1), ("The car is here.", 3), ("A bus is red.", 1)],
)
def test_rates_an_attribute(answer: str, rating: int) -> None:
    assert rate(truth("attribute", ["red"], COLORS, "What color is the car?"), answer)[0] == rating


def test_an_absent_object_is_denied_or_hallucinated() -> None:
    row = truth("adversarial", ["no"], ["no", *COLORS], "What color is the bus?")
    assert rate(row, "There is no bus in this image.")[0] == 6
    assert rate(row, "The bus is red.")[0] == 1


@pytest.mark.parametrize(
    ("answer", "rating"),
    [
        ("A street. A car. A dog.", 6),
        ("A street. A dog.", 5),  # 3 + round(1.5)
        ("A street. A car. A dog. A bus.", 2),
        ("A street. A bus. A dog.", 1),
        ("A street. A bus.", 0),
    ],
)
def test_rates_a_description(answer: str, rating: int) -> None:
    row = truth("holistic", ["car", "dog"], [], "Describe this image in detail.")
    score, why = rate(row, answer)
    assert score == rating
    assert reply_to(row, answer) == f"{why}\nRating: {rating}"


def test_answers_by_sample_id(tmp_path: Path) -> None:
    rows = [{"id": i, "benchmark": "object_halbench"} for i in ("0", "1")]
    (tmp_path / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judge = RuleJudge("", tmp_path)
    asked = [JudgeRequest("1", JudgePrompt(""), "a car"), JudgeRequest("0", JudgePrompt(""), "a dog")]
    assert [(i, reply.text) for i, reply in judge.ask(asked)] == [(0, '["car"]'), (1, '["dog"]')]


def test_refuses_real_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"truth\.jsonl"):
        RuleJudge("", tmp_path)
