"""Which figures of lmms-eval's tasks are means of their documents, and those that are not as functions of documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from benchmarks.common import lmms_figures
from benchmarks.common.lmms_figures import figures_of, means_of, unit_of


class Task:
    """As far as a task is asked: how it aggregates each metric."""

    def __init__(self, **aggregations: Callable[..., float]) -> None:
        self._aggregations = aggregations

    def aggregation(self) -> Mapping[str, Callable[..., float]]:
        return self._aggregations


def share(found: Sequence[Mapping[str, float]]) -> float:
    assert len(found) % 2 == 0, "pairs"
    print("a line that a task prints")
    return 100 * sum(each["score"] for each in found) / len(found)


ROWS: list[dict[str, Any]] = [
    {"doc_id": i, "acc": float(i > 0), "pair": {"score": float(i), "question_id": f"q{i // 2}"}, "odd": "text"}
    for i in range(4)
]
"""acc: 0, 1, 1, 1; pair: 0, 1, 2, 3 of two questions."""


def test_a_mean_of_numbers_is_known_from_other_figures() -> None:
    assert means_of({"acc": 0.75, "pair": 150.0}, ROWS) == {"acc"}
    assert means_of({"acc": 0.7}, ROWS) == set() and means_of({"odd": 1.0, "none": 1.0}, ROWS) == set()
    assert means_of({"acc,strict": 0.75, "acc,flexible": 0.5}, ROWS) == set(), "the rows are of one of two filters"


def test_other_figures_are_functions_of_documents(capsys: pytest.CaptureFixture[str]) -> None:
    made = figures_of(Task(acc=share, pair=share), {"acc": 0.75, "pair": 150.0}, ROWS, {"acc"})
    assert set(made) == {"pair"} and made["pair"](["0", "1"]) == 50.0
    assert math.isnan(made["pair"](["0"])) and math.isnan(made["pair"]([]))
    assert capsys.readouterr().out == ""


def test_one_that_needs_more_than_its_documents_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_args(found: Sequence[Any], args: Any) -> float:
        return 150.0

    assert figures_of(Task(pair=with_args), {"pair": 150.0}, ROWS, ()) == {}
    assert figures_of(Task(pair=share), {"pair": 149.0}, ROWS, ()) == {}, "another value than the task's"
    assert figures_of(Task(), {"pair": 150.0}, ROWS, ()) == {}
    monkeypatch.setattr(lmms_figures, "LONGEST", -1.0)
    assert figures_of(Task(pair=share), {"pair": 150.0}, ROWS, ()) == {}, "it takes too long to be repeated"


def test_documents_of_one_question_belong_together() -> None:
    assert [unit_of(row) for row in ROWS] == ["q0", "q0", "q1", "q1"] and unit_of({"doc_id": 7, "acc": 1.0}) == "7"
