"""Metrics over groups against HallusionBench's own figures: aAcc per question, qAcc per question, fAcc per figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.evaluation.metrics import Scored, summarise
from harness.protocols.benchmark import Metric, Sample, groups_by, ratio

HERE = Path(__file__).parent / "hallusion_bench"


def right(row: dict[str, Any]) -> bool:
    """Its rule: unclear is right where a question is asked without its figure, and can only be guessed."""
    reply = row["reply"].lower()
    if "incorrect" in reply:
        return False
    return "correct" in reply or (row["category"] == "VS" and row["figure_id"] == "0")


def test_all_questions_of_a_figure_and_all_figures_of_a_question() -> None:
    rows = [json.loads(line) for line in (HERE / "rows.jsonl").read_text().splitlines()]
    samples = [Sample(str(i), "?", data=row) for i, row in enumerate(rows)]

    def joined(sample: Sample, *names: str) -> str:
        return "_".join(sample.data[name] for name in ("category", "subcategory", "set_id", *names))

    def figure(sample: Sample) -> str | None:
        shown = sample.data["category"] != "VS" or sample.data["figure_id"] != "0"
        return joined(sample, "figure_id") if shown else None

    share = ratio("right", "asked")
    metrics = [
        Metric("a_acc", share, True),
        Metric("q_acc", share, True, groups=groups_by(samples, lambda sample: joined(sample, "question_id"))),
        Metric("f_acc", share, True, groups=groups_by(samples, figure)),
    ]
    scored = [Scored(s.id, 0, "", {"asked": 1.0, "right": float(right(dict(s.data)))}) for s in samples]
    table = summarise(metrics, scored)
    for name, official in json.loads((HERE / "expected.json").read_text()).items():
        assert table[name]["value"] == pytest.approx(100 * official["correct"] / official["total"]), name
        assert table[name].get("groups", len(rows)) == official["total"], name
