"""Probe pairs are measured and change nothing."""

from __future__ import annotations

from pathlib import Path

from aligners.dpo import Dpo
from aligners.pairs.data import load_pairs
from aligners.training.pipeline import align
from tests.aligners.training.runs import Bench, Notes, distance
from tests.tiny import tiny_pairs


def test_probing_has_no_effect_on_training(bench: Bench) -> None:
    assert distance(bench.run(Dpo(), "a", probe_every=1), bench.run(Dpo(), "b", probe_every=0)) == 0


def test_heldout_pairs_are_measured_and_reference_is_shared(bench: Bench, tmp_path: Path) -> None:
    heldout = load_pairs(tiny_pairs(tmp_path / "heldout", count=5, seed=9))
    notes = Notes()
    for _ in range(2):
        align(bench.base, Dpo(), notes, tmp_path / "out", hardness=None, heldout=heldout, resume=False)
    assert len(notes.gaps[0, "heldout"]) == 5
    assert notes.info["reference_cached"] is True
