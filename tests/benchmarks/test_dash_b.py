"""DASH-B: the official rule, figures worked out by hand, the published layout of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.dash_b import DashB, read_officially
from harness.errors import DataError
from tests.benchmarks.conftest import figures, judged, write_json


def write_world(root: Path, pos: Any = None) -> None:
    write_json(
        root / "images/dash_benchmark_neg.json", {"coco": {"cat": ["1.png", "2.png"]}, "other": {"Fox": ["1.png"]}}
    )
    write_json(root / "images/dash_benchmark_pos.json", pos or {"coco": {"cat": ["1.jpg", "2.jpg"]}})


def test_the_files_give_one_question_an_image_those_without_the_object_first(tmp_path: Path) -> None:
    write_world(tmp_path)
    data = DashB().load(tmp_path)
    ids = [
        "neg/coco/cat/1.png",
        "neg/coco/cat/2.png",
        "neg/other/Fox/1.png",
        "pos/coco/cat/1.jpg",
        "pos/coco/cat/2.jpg",
    ]
    assert [sample.id for sample in data.samples] == ids
    assert [sample.data["truth"] for sample in data.samples] == ["no", "no", "no", "yes", "yes"]
    assert data.samples[2].prompt == "Can you see a Fox in this image? Please answer only with yes or no."
    image = data.samples[2].image
    assert image is not None and image.path == tmp_path / "images/neg/other/Fox/1.png"
    assert "dash_benchmark_neg.json: 3 rows, official 1341" in data.notes


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("No, my eyes see none", "yes"),  # the letters are in "eyes"
        ("I do not know", "no"),
        ("", None),
        ("Maybe", None),
    ],
)
def test_the_official_reader_looks_for_letters(answer: str, said: str | None) -> None:
    assert read_officially(answer) == said


def test_figures_by_hand(tmp_path: Path) -> None:
    """Truths no, no, no, yes, yes; answers No, Yes, "Maybe", Yes, "I cannot say. No eyes".

    Officially right: no, -, - (neither), yes, yes (the letters of "eyes"): 3 of 5, TPR 2 / 2, TNR 1 / 3, harmonic mean
    2 (1 / 3) / (4 / 3) = 1 / 2. Read plainly are the first, second and fourth: ACC 2 / 3, TPR 1, TNR 1 / 2, balanced
    3 / 4, harmonic mean 2 / 3, yes 2 of 3.
    """
    write_world(tmp_path)
    benchmark = DashB()
    samples = benchmark.load(tmp_path).samples
    answers = ["No", "Yes", "Maybe", "Yes", "I cannot say. No eyes"]
    verdicts = [judged(benchmark, s, answer) for s, answer in zip(samples, answers, strict=True)]
    assert [verdict.error is None for verdict in verdicts] == [True, True, False, True, False]
    values = figures(benchmark, samples, verdicts)
    official = {"accuracy": 60, "recall": 100, "specificity": 100 / 3, "harmonic_mean": 50}
    assert {name: values[f"official_{name}"] for name in official} == pytest.approx(official)
    plain = {"accuracy": 200 / 3, "recall": 100, "specificity": 50, "balanced_accuracy": 75, "harmonic_mean": 200 / 3}
    assert {name: values[name] for name in plain} == pytest.approx(plain)
    assert values["yes_ratio"] == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("pos", "message"),
    [
        ({"coco": ["1.jpg"]}, "'coco' should be dict"),
        ({"coco": {"cat": "1.jpg"}}, "'cat' should be list"),
        ({"coco": {"cat": ["../1.jpg"]}}, "is no file name"),
        ([1], "expected an object of data sets"),
    ],
)
def test_a_list_of_another_shape_is_refused_by_name(pos: Any, message: str, tmp_path: Path) -> None:
    write_world(tmp_path, pos)
    with pytest.raises(DataError, match=message) as raised:
        DashB().load(tmp_path)
    assert "dash_benchmark_pos.json" in str(raised.value)
