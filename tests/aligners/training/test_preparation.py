"""What is there before the first step: an objective without hardness has it for charts alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch

from aligners.dpo import Dpo
from aligners.hardness import Hardness
from aligners.pair_hardness import clip as clip_module
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.pairs.data import load_pairs
from aligners.training.config import AlignConfig
from aligners.training.preparation import hardness_of, numerics
from harness.errors import HarnessError, UsageError
from harness.protocols.progress import silent
from tests.test_align_recipe import tiny_clip


def test_no_clip_is_downloaded_for_charts_and_one_that_is_here_is_used(
    pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    sets, cpu = {"train": load_pairs(pairs_file, 4), "heldout": load_pairs(pairs_file, 2)}, torch.device("cpu")
    stages: list[tuple[str, int]] = []
    clip = HardnessConfig(clip=tiny_clip(tmp_path / "clip"))
    deltas, _ = hardness_of(sets, clip, Dpo(), cpu, lambda stage, done, *_: stages.append((stage, done)))
    assert {split: len(values) for split, values in deltas.items()} == {"train": 4, "heldout": 2}
    assert stages.count(("CLIP weights", 1)) == 1, "loaded once for all splits"

    def download(*_: object) -> None:
        raise UsageError("cannot be loaded")

    monkeypatch.setattr(clip_module, "ClipModel", lambda *_: pytest.fail("loaded"))
    said = "charts of hardness are left out: CLIP ViT-L-14-336/openai is not on this machine, and dpo trains without"
    with pytest.warns(UserWarning, match=said):
        deltas, facts = hardness_of(sets, HardnessConfig(), Dpo(), cpu, silent)
    assert deltas == {} and str(facts["hardness"]).startswith("not computed: CLIP ViT-L-14-336/openai is not on")
    monkeypatch.setattr(clip_module, "ClipModel", download)
    with pytest.raises(HarnessError, match="cannot be loaded"):
        hardness_of(sets, HardnessConfig(), Hardness(), cpu, silent)


def test_reference_values_of_other_weights_under_zero3_are_other_values() -> None:
    def named(sharding: Literal["none", "fsdp", "zero2", "zero3"], rank: int = 4, dtype: str = "bfloat16") -> str:
        return numerics(AlignConfig(model="M", data="D", sharding=sharding, lora_rank=rank), dtype)

    stored_when_its_weights_were_float32 = "bfloat16 weights, zero3"
    assert named("zero3") != stored_when_its_weights_were_float32
    assert named("zero2") == "bfloat16 weights, zero2" and named("none") == "bfloat16 weights", "as they were"
    assert named("zero3", rank=0) == named("zero3", dtype="float32") == "zero3", "as they were"
