"""A page reads every part of the store once, and what it keeps is what was stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.evaluation.metrics import Scored
from harness.protocols.benchmark import Verdict
from harness.store import AlignmentRecord, NewEvaluation, Store
from leaderboards import snapshot as module
from leaderboards.charts.curves import write_curves
from leaderboards.charts.gap_curves import write_figures
from leaderboards.formats.markdown import Markdown
from leaderboards.page.html import render_html
from leaderboards.page.samples import Chunks
from leaderboards.run_groups import RunGroups, run_groups
from leaderboards.scores import read_scores
from leaderboards.snapshot import Snapshot
from leaderboards.verdict_table import VerdictTable
from leaderboards.view import View
from tests.leaderboards.fakes import add, answers, example


class Counting(Store):
    """A store that counts what is read of it."""

    def __init__(self, path: Path) -> None:
        self.reads: Counter[tuple[Any, ...]] = Counter()
        super().__init__(path)

    def samples(self, data_key: str) -> list[dict[str, Any]]:
        self.reads["samples", data_key] += 1
        return super().samples(data_key)

    def verdicts(self, evaluation: int) -> list[Any]:
        self.reads["verdicts", evaluation] += 1
        return super().verdicts(evaluation)

    def evaluations(self, **given: Any) -> list[Any]:
        self.reads["evaluations",] += 1
        return super().evaluations(**given)

    def alignments(self) -> list[Any]:
        self.reads["alignments",] += 1
        return super().alignments()

    def train_log(self, name: str) -> list[Any]:
        self.reads["train_log", name] += 1
        return super().train_log(name)

    def gaps(self, name: str) -> list[Any]:
        self.reads["gaps", name] += 1
        return super().gaps(name)

    def pair_hardness(self, name: str, split: str) -> dict[str, float]:
        self.reads["hardness", name, split] += 1
        return super().pair_hardness(name, split)

    def generation_totals(self) -> dict[str, Any]:
        self.reads["totals",] += 1
        return super().generation_totals()


def test_a_page_and_all_figures_read_everything_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = example(tmp_path)
    for data_key in ("e", "f"):
        add(store, "base", answers([1] * 6), data_key=data_key)
        add(store, "dpo-s0", answers([2] * 6), data_key=data_key)
    grouped = []

    def counted(alignments: Sequence[AlignmentRecord]) -> RunGroups:
        grouped.append(1)
        return run_groups(alignments)

    monkeypatch.setattr(module, "run_groups", counted)
    counting = Counting(tmp_path / "results.sqlite")
    view = View(Snapshot(counting))
    render_html(view, Chunks(None, 10**7))
    Markdown().render(view)
    write_figures(view.snapshot, tmp_path)
    write_curves(view.snapshot, view.tables, tmp_path)
    assert {key for key in counting.reads if key[0] == "samples"} == {("samples", key) for key in "def"}
    assert len([key for key in counting.reads if key[0] == "verdicts"]) == 9
    assert set(counting.reads.values()) == {1}, f"read more than once: {counting.reads.most_common(3)}"
    assert len(grouped) == 1


def test_verdicts_and_answers_are_kept_as_stored(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    details = {"hallucinated": ["dög", "\ud800"], "reply": "x" * 1000}
    verdicts = {
        "a": Verdict({"right": 1.0, "asked": 1.0}, details=details),
        "b": Verdict({"official_right": 0.0}, error="no reply"),
    }
    add(store, "base", answers([1]))
    values = {field.name: getattr(store.evaluations()[0], field.name) for field in fields(NewEvaluation)}
    rows = [(sample, run, "image", "an answer", v) for sample, v in verdicts.items() for run in (0, 1)]
    store.save_evaluation(NewEvaluation(**values), rows)
    (record,) = store.evaluations()
    snapshot = Snapshot(store)
    table = snapshot.verdicts(record)
    assert isinstance(table, VerdictTable) and len(table) == 4
    assert table.samples == ("a", "a", "b", "b") and table.runs.tolist() == [0, 1, 0, 1]
    assert table.columns == ("asked", "official_right", "right")
    assert table.counts.tolist() == [[1, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert table.errors == {2: "no reply", 3: "no reply"} and table.scored.tolist() == [True, True, False, False]
    assert snapshot.answers(record)[0] == ("an answer", details) and snapshot.answers(record)[3] == ("an answer", {})


@pytest.mark.parametrize(
    ("number", "size"), [(3.0, 1), (0.5, 4), (300.0, 4), (0.1, 8), (-1.0, 4), (math.nan, 8), (1e300, 8)]
)
def test_numbers_are_kept_exactly_in_as_few_bytes_as_can_be(number: float, size: int) -> None:
    table = VerdictTable.of([Scored("a", 0, "", {"x": number}), Scored("b", 0, "", {"x": 0.0})])
    assert table.counts.itemsize == size
    np.testing.assert_array_equal(read_scores([table]).values.ravel(), [number, 0.0])
    np.testing.assert_equal([row.counts["x"] for row in table.rows()], [number, 0.0])
