"""POPE against the official scorer's recorded outputs, and figures worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.pope import Pope, read_officially
from harness.errors import DataError
from harness.protocols.benchmark import Sample
from tests.benchmarks.conftest import figures, judged, write_jsonl
from tests.shared import shared


def write_split(root: Path, split: str, labels: str) -> None:
    rows = [
        {"question_id": i, "image": f"{i // 2}.jpg", "text": "Is there a dog in the image?", "label": label}
        for i, label in enumerate({"y": "yes", "n": "no"}[c] for c in labels)
    ]
    write_jsonl(root / f"coco_pope_{split}.json", rows)


@pytest.mark.needs("reference")
def test_official_figures_on_the_recorded_answers() -> None:
    folder = shared("golden/pope")
    inputs, expected = (json.loads((folder / f"{name}.json").read_text()) for name in ("inputs", "expected"))
    assert [read_officially(row["answer"]) for row in inputs["answers"]] == [
        row["pred"] for row in expected["per_answer_pred"]
    ]
    benchmark = Pope()
    samples = [
        Sample(f"random:{i}", "?", data={"split": "random", "label": label}) for i, label in enumerate(inputs["labels"])
    ]
    verdicts = [judged(benchmark, s, row["answer"]) for s, row in zip(samples, inputs["answers"], strict=True)]
    values = figures(benchmark, samples, verdicts)
    names = {"accuracy": "acc", "precision": "precision", "recall": "recall", "f1": "f1", "yes_ratio": "yes_ratio"}
    for ours, theirs in names.items():
        assert values[f"official_random_{ours}"] == pytest.approx(100 * expected["metrics"][theirs], abs=1e-9)


@pytest.mark.needs("reference")
def test_official_files_are_read_whole_with_llavas_prompts_and_no_notes() -> None:
    root = shared("data/pope")
    samples = {sample.id: sample for sample in Pope().load(root).samples}
    asked = [json.loads(line) for line in (root / "llava_pope_test.jsonl").read_text().splitlines()]
    counts: dict[str, int] = {}
    for row in asked:  # LLaVA's file has the same order, but counts its random questions anew
        counts[row["category"]] = counts.get(row["category"], 0) + 1
    assert counts == {"adversarial": 3000, "popular": 3000, "random": 2910}
    assert len(samples) == len(asked)
    assert sorted(s.prompt for s in samples.values()) == sorted(row["text"] for row in asked)
    assert Pope().load(root).notes == []


@pytest.mark.parametrize(
    ("answer", "official", "plain"),
    [
        ("Yes", "yes", "yes"),
        ("No.", "no", "no"),
        ("NO", "yes", "no"),
        ("**No**", "yes", "no"),
        ("Yes, but not fully visible", "no", "yes"),
        ("No\nthere is none", "yes", "no"),
        ("There is no dog.", "no", "no"),
        ("There isn't a dog.", "yes", "no"),
        ("There are two dogs.", "yes", "yes"),
        ("The answer is no.", "no", "no"),
        ("Not visible", "yes", "no"),
        ("Nope", "yes", "no"),
        ("There is a cat.", "yes", None),
        ("It is unclear. No evidence.", "yes", None),
        ("Nothing like that.", "yes", None),
        ("I cannot see any", "yes", None),
        ("nothing", "yes", None),
        ("Yesterday", "yes", None),
        ("", "yes", None),
    ],
)
def test_answers_are_read_plainly_and_officially(answer: str, official: str, plain: str | None) -> None:
    sample = Sample("random:0", "Is there a dog in the image?", data={"split": "random", "label": "no"})
    verdict = judged(Pope(), sample, answer)
    assert (read_officially(answer), verdict.details["read"]) == (official, plain)
    assert (verdict.error is None) == (plain is not None)


def test_figures_by_hand_and_f1_is_the_mean_of_the_splits(tmp_path: Path) -> None:
    """random: TP 1, FN 1, TN 1, FP 1 -> all 50; popular: TP 1, TN 1, one silent -> F1 100, officially a false yes."""
    write_split(tmp_path, "random", "yynn")
    write_split(tmp_path, "popular", "ynn")
    benchmark = Pope()
    samples = benchmark.load(tmp_path).samples
    assert [s.id for s in samples[:2]] == ["random:0", "random:1"]
    answers = ["Yes", "No", "no", "yes", "Yes", "No", "Hm"]
    verdicts = [judged(benchmark, s, a) for s, a in zip(samples, answers, strict=True)]
    assert [v.error is None for v in verdicts] == [True] * 6 + [False]
    values = figures(benchmark, samples, verdicts)
    assert [values[f"random_{f}"] for f in ("f1", "accuracy", "precision", "recall", "yes_ratio")] == [50.0] * 5
    assert (values["popular_f1"], values["popular_yes_ratio"], values["f1"]) == (100, 50, 75)
    assert (values["balanced_accuracy"], values["yes_ratio"]) == (75, 50), "the means of 50 and 100, of 50 and 50"
    assert values["official_popular_f1"] == pytest.approx(200 / 3)
    assert values["adversarial_f1"] != values["adversarial_f1"], "a split without questions has no figure"


def test_a_split_that_was_never_answered_has_no_mean(tmp_path: Path) -> None:
    write_split(tmp_path, "random", "yn")
    write_split(tmp_path, "popular", "yn")
    benchmark = Pope()
    samples = benchmark.load(tmp_path).samples
    values = figures(benchmark, samples, [judged(benchmark, samples[0], "Yes")])
    assert values["random_f1"] == 100 and values["f1"] != values["f1"]


def test_errors_name_the_file_and_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"coco_pope_random\.json"):
        Pope().load(tmp_path)
    rows = [{"question_id": 1, "image": "a", "text": "?", "label": label} for label in ("yes", "maybe")]
    write_jsonl(tmp_path / "coco_pope_random.json", rows)
    with pytest.raises(DataError, match=r'random\.json line 2: label should be "yes" or "no"'):
        Pope().load(tmp_path)
    write_jsonl(tmp_path / "coco_pope_random.json", rows[:1])
    assert "coco_pope_popular.json: absent" in Pope().load(tmp_path).notes


def test_repope_labels_what_it_keeps_and_stored_answers_serve_both(tmp_path: Path) -> None:
    """Four questions, one label corrected, one question dropped: "yes" to all is right in 2 of 4, then in 2 of 3."""
    write_split(tmp_path, "random", "ynny")
    rows = [json.loads(line) for line in (tmp_path / "coco_pope_random.json").read_text().splitlines()]
    for i, row in enumerate(rows):
        row["text"] = f"Is there a dog number {i} in the imange?"
    write_jsonl(tmp_path / "coco_pope_random.json", rows)
    again = [{**row, "text": row["text"].replace("imange", "image"), "question_id": 9} for row in rows[:3]]
    again[1]["label"] = "yes"
    extra = {"question_id": 77, "image": "7.jpg", "text": "Is there a cat in the image?", "label": "no"}
    write_jsonl(tmp_path / "coco_repope_random.json", [*again, extra])
    plain, checked = Pope().load(tmp_path), Pope(labels="repope").load(tmp_path)
    assert [s.id for s in checked.samples] == ["random:0", "random:1", "random:2"]
    assert [s.data["label"] for s in checked.samples] == ["yes", "yes", "no"]
    assert [(s.id, s.prompt) for s in checked.whole] == [(s.id, s.prompt) for s in plain.samples]
    assert any("1 of its 4 questions are not in coco_pope_random.json" in note for note in checked.notes)
    for data, accuracy in ((plain, 50.0), (checked, 200 / 3)):
        verdicts = [judged(Pope(), sample, "Yes") for sample in data.samples]
        assert figures(Pope(), data.samples, verdicts)["random_accuracy"] == pytest.approx(accuracy)


def test_two_repope_labels_of_one_question_are_refused_and_one_that_stands_twice_is_one(tmp_path: Path) -> None:
    """The official files have every question once; which of two labels is meant nobody can say."""
    write_split(tmp_path, "random", "yn")
    rows = [json.loads(line) for line in (tmp_path / "coco_pope_random.json").read_text().splitlines()]
    rows[1]["text"] = "Is there a cat in the image?"
    write_jsonl(tmp_path / "coco_pope_random.json", rows)
    write_jsonl(tmp_path / "coco_repope_random.json", [*rows, rows[0]])
    assert [s.data["label"] for s in Pope(labels="repope").load(tmp_path).samples] == ["yes", "no"]
    write_jsonl(tmp_path / "coco_repope_random.json", [*rows, {**rows[0], "label": "no"}])
    with pytest.raises(DataError, match=r"coco_repope_random\.json line 3: .* is 'no' here and 'yes' above: keep one"):
        Pope(labels="repope").load(tmp_path)


def test_repope_without_its_files_is_refused(tmp_path: Path) -> None:
    write_split(tmp_path, "random", "yn")
    with pytest.raises(DataError, match=r"coco_repope_random\.json"):
        Pope(labels="repope").load(tmp_path)


@pytest.mark.needs("reference")
def test_repopes_own_files_join_popes(tmp_path: Path) -> None:
    """RePOPE drops 226, 273 and 316 of 3,000 questions; of the random ones POPE's file of e3e3926 lacks 90."""
    for name in ("pope", "repope"):
        for path in shared(f"data/{name}").glob("coco_*.json"):
            (tmp_path / path.name).write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))  # as their home has them
    data = Pope(labels="repope").load(tmp_path)
    kept = [sum(s.data["split"] == split for s in data.samples) for split in ("random", "popular", "adversarial")]
    assert kept == [2687, 3000 - 273, 3000 - 316]
    assert data.notes == ["coco_repope_random.json: 87 of its 2774 questions are not in coco_pope_random.json"]
