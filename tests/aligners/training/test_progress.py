"""An alignment shows where it is: every stage reports, in order, and ends with done == total."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from aligners.dama import Dama
from aligners.dpo import Dpo
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.pairs.data import load_pairs
from aligners.training.pipeline import align
from tests.aligners.training.runs import Bench, Notes
from tests.test_align_recipe import tiny_clip
from tests.tiny import tiny_pairs


class Stages:
    """A Progress that keeps the last report of every stage, in the order in which stages began."""

    def __init__(self) -> None:
        self.last: dict[str, tuple[int, int]] = {}
        self.notes: dict[str, str] = {}

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        assert 0 <= done <= total, (step, done, total)
        self.last[step] = (done, total)
        self.notes[step] = note


def test_every_stage_of_an_alignment_reports_in_order_and_ends_complete(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))  # nothing is cached
    heldout = load_pairs(tiny_pairs(tmp_path / "heldout", count=5, seed=9))
    stages, config = Stages(), dataclasses.replace(bench.base, epochs=1)
    hardness = HardnessConfig(clip=tiny_clip(tmp_path / "clip"))
    notes = Notes()
    made = align(
        config, Dama(), notes, tmp_path / "out", hardness=hardness, heldout=heldout, resume=False, progress=stages
    )
    assert list(stages.last) == [
        "pairs",
        "checking pairs",
        "model weights",
        "hash of the weights",
        "CLIP weights",
        "CLIP: looking for known hardness",
        "CLIP: texts",
        "CLIP: images",
        "reference log-probabilities",
        "probe pairs",
        "training steps",
        "saving",
        "check of the saved weights",
    ]
    assert {step for step, (done, total) in stages.last.items() if done != total} == set()
    assert 0 < notes.info["training_seconds"] < made.record["seconds"], "hardness and loading are no training"
    assert stages.last["pairs"] == (32, 32) and stages.last["training steps"] == (2, 2)
    assert stages.last["probe pairs"] == (37, 37)
    words = stages.notes["training steps"].split()
    assert words[::2] == ["loss", "margin", "accuracy", "lr"] and all(map(math.isfinite, map(float, words[1::2])))


def test_pairs_report_as_many_rows_as_are_read(pairs_file: Path) -> None:
    stages = Stages()
    load_pairs(pairs_file, 5, progress=stages)
    assert stages.last == {"pairs": (5, 5)}


def test_a_run_without_a_progress_is_silent(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    bench.run(Dpo(), "out", epochs=1)
    assert "it/s" not in capfd.readouterr().err, "transformers' own bars are replaced, not added to"
