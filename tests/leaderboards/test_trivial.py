"""Answers that need no model stand beside the rows in every format, and are ranked with none."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from harness.evaluation.resolve import make_benchmark
from harness.protocols.benchmark import Sample
from harness.store import NewEvaluation, Store
from leaderboards.declared import declared
from leaderboards.formats.registry import FORMATS
from leaderboards.rows import Table
from leaderboards.snapshot import Snapshot
from leaderboards.text import best_rows
from leaderboards.trivial import trivial_labels, trivial_rows
from leaderboards.view import View

TRUTHS = ("no", "no", "no", "yes")
SETTINGS = {"similarity": "exact", "tagger": "lexicon"}


def samples() -> list[Sample]:
    return [
        Sample(str(i), "Is the sky blue?", data={"kind": "state", "truth": truth}, group=f"image-{i}")
        for i, truth in enumerate(TRUTHS)
    ] + [Sample("4", "Describe.", data={"kind": "generative", "truth": ["sky"], "hallu": [], "words": ""})]


def stored(path: Path) -> View:
    """Four questions and a caption; the model says no, yes, no, yes: 2 of 3 no and 1 of 1 yes, 5/6 balanced."""
    store, benchmark = Store(path / "results.sqlite"), make_benchmark("amber", SETTINGS)
    store.save_samples("d", samples())
    answers = ("No", "Yes", "No", "Yes")
    verdicts = [(s, a, benchmark.verdict(s, a, [])) for s, a in zip(samples(), answers, strict=False)]
    store.save_evaluation(
        NewEvaluation(
            key="k", run="base", model="hf:base", model_key="base", benchmark="amber", alignment=None,
            settings=SETTINGS, version=benchmark.version, mode="plain", judge="none", data_key="d", data_dir=".",
            decoding={"eos_bias": 0.0}, n=5, n_scored=4, n_failed=0, info={},
            metrics={"f1": {"value": 1.0, "low": 0.0, "high": 50.0, "unit": "%", "higher_is_better": True}},
        ),
        ((s.id, 0, s.group, a, v) for s, a, v in verdicts),
    )  # fmt: skip
    return View(Snapshot(store))


def table(view: View) -> Table:
    (only,) = view.tables
    return only


def test_always_no_buys_an_f1_and_half_of_the_balanced_accuracy(tmp_path: Path) -> None:
    """Always No: recall 1, precision 3/4, so F1 2 * .75 / 1.75 = 85.7; always Yes: precision and recall of no are 0.

    The model: recall 2/3, precision 1, F1 2 * .667 / 1.667 = 80.0: below the answer that needs no model.
    """
    view = stored(tmp_path)
    trivial, row = table(view).trivial, table(view).rows[0]
    assert trivial["always No"]["f1"] == pytest.approx(85.7, abs=0.1)
    assert trivial["always Yes"]["f1"] == 0
    assert row.cells["f1"].value == pytest.approx(80.0, abs=0.1)
    assert [trivial[name]["balanced_accuracy"] for name in trivial] == [50, 50]
    assert row.cells["balanced_accuracy"].value == pytest.approx(100 * 5 / 6)
    assert [trivial[name]["yes_ratio"] for name in trivial] == [100, 0]
    assert all(math.isnan(trivial[name]["chair"]) for name in trivial)


def test_the_ability_axis_of_yes_no_benchmarks_is_worth_half_to_any_constant_answer() -> None:
    assert {name: declared(name).ability for name in ("amber", "pope")} == dict.fromkeys(
        ("amber", "pope"), "balanced_accuracy"
    )


def test_they_are_no_rows_and_never_the_best(tmp_path: Path) -> None:
    shown = table(stored(tmp_path))
    assert [row.label for row in shown.rows] == ["base"]
    assert trivial_labels([shown]) == ["always Yes (no model)", "always No (no model)"]
    assert best_rows(shown, next(m for m in shown.metrics if m.name == "f1")) <= {"base"}


@pytest.mark.parametrize("name", ["table", "markdown", "latex", "html"])
def test_every_format_shows_them_apart(name: str, tmp_path: Path) -> None:
    text = FORMATS.get(name)().text(stored(tmp_path))
    for label in ("always Yes (no model)", "always No (no model)"):
        assert label in text
    if name != "html":
        line = next(line for line in text.splitlines() if "always No (no model)" in line)
        assert "85.7" in line and "50.0" in line
    if name == "latex":
        assert r"\midrule \emph{always Yes (no model)}" in text


def test_json_and_csv_have_them_beside_every_figure_and_no_row_of_them(tmp_path: Path) -> None:
    view = stored(tmp_path)
    records = json.loads(FORMATS.get("json")().text(view))
    found = {record["metric"]: record["trivial"] for record in records}
    assert found["balanced_accuracy"] == {"always Yes": 50, "always No": 50}
    assert found["official_accuracy"] == {"always Yes": 25.0, "always No": 75.0}
    assert found["chair"] is None
    assert {record["method"] for record in records} == {"base"}
    rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(FORMATS.get("csv")().text(view)))}
    assert rows["balanced_accuracy"]["trivial"] == "always Yes: 50; always No: 50"
    assert rows["chair"]["trivial"] == ""


def test_a_table_of_captions_alone_shows_none(tmp_path: Path) -> None:
    """Only what has a figure among the columns shown is a row."""
    view = stored(tmp_path)
    captions = [m for m in table(view).metrics if m.name in ("chair", "cover")]
    narrow = Table("", table(view).condition, tuple(captions), (), trivial=table(view).trivial)
    assert trivial_rows(narrow) == []
