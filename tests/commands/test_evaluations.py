"""What `bench` says of several models: whose answers a sentence is of, and names that can be told apart."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from commands import evaluations
from commands.evaluations import notes_of, show_estimates
from harness.store import EvaluationRecord
from workflows.cost import BenchCost


def record(run: str, benchmark: str = "pope", *, bias: float = 0.0, **info: Any) -> EvaluationRecord:
    """An evaluation of data that are not the embedded world's."""
    return EvaluationRecord(
        id=1, created="2026-01-01T00:00:00+00:00", key=run, run=run, model=f"hf:{run}", model_key=run, alignment=None,
        benchmark=benchmark, settings={}, version="1", mode="plain", judge="none", data_key="d", data_dir="/nowhere",
        decoding={"eos_bias": bias}, n=72, n_scored=0, n_failed=72, metrics={},
        info={"data_notes": ["not the official file"], **info},
    )  # fmt: skip


def test_data_are_spoken_of_once_and_answers_with_their_run() -> None:
    cut: dict[str, Any] = {"notes": ["72 of 72 answers are cut"], "failures": {"no yes or no": 72}}
    assert notes_of(
        [record("base", **cut), record("dpo"), record("base", "amber"), record("dpo", bias=-1.0, **cut)]
    ) == [
        "pope: not the official file",
        "amber: not the official file",
        "pope, base: 72 of 72 answers are cut",
        "pope, base: 72 failed: no yes or no",
        "pope, dpo at EOS bias -1: 72 of 72 answers are cut",
        "pope, dpo at EOS bias -1: 72 failed: no yes or no",
    ]
    assert notes_of([record("base", **cut)])[1] == "pope: 72 of 72 answers are cut"


def test_models_of_a_dry_run_can_be_told_apart_on_a_narrow_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluations, "out", Console(width=80))
    runs = {"v-llava-sft-dora": "run:v-llava-sft-dora", "sft": "hf:/data/models/llava+/data/models/sft"}
    counts = dict.fromkeys(
        ("generations", "generation_tokens", "judge_calls", "judge_prompt_tokens", "judge_completion_tokens"), 15_220
    )
    show_estimates(
        [
            BenchCost("object_halbench", model, "gpt-4o", **counts, stored_replies=0, usd=1.0, run=run)
            for run, model in runs.items()
        ],
        as_json=False,
    )
    shown = capsys.readouterr().out
    assert "…" not in shown and max(map(len, shown.splitlines())) <= 80
    heading = next(line for line in shown.splitlines() if "Model" in line)
    first = "".join(line[: heading.index("Benchmark")].strip() for line in shown.splitlines())
    assert "".join(runs) in first and "1.00" in shown and "2.00" in shown
