"""Alignment from settings to a trained model, with a tiny random LLaVA."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from aligners.dama import Dama
from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.mdpo import Mdpo
from aligners.objective import Objective
from aligners.pairs.data import load_pairs
from harness.errors import UsageError
from harness.models.processors import load_prompts
from harness.models.settings import LoadSettings
from tests.aligners.training.runs import Bench, DamaOfScores, Notes, distance, weights
from tests.tiny import load_tiny


@pytest.mark.parametrize("objective", [DamaOfScores(), Gap(variant="code")], ids=["dama", "gap-code"])
def test_the_split_of_a_step_changes_nothing(bench: Bench, objective: Objective) -> None:
    """Of the others test_every_aligner.py says so."""
    whole_notes, split_notes = Notes(), Notes()
    whole = bench.run(objective, "16", whole_notes)
    split = bench.run(objective, "4", split_notes, micro_batch=4)
    assert distance(whole, split) < 1e-6
    for step, metrics in whole_notes.steps.items():
        assert split_notes.steps[step] == pytest.approx(metrics, rel=1e-4, abs=1e-5)
    assert set(whole_notes.steps) == {1, 2, 3, 4}


def test_training_raises_the_margin_and_starts_at_log_two(bench: Bench) -> None:
    notes = Notes()
    result = bench.run(Dpo(), "out", notes, epochs=4, probe_every=3)
    assert result.steps == 8
    assert notes.steps[1]["loss"] == pytest.approx(0.693147, abs=1e-3)
    assert notes.steps[1]["gap"] == pytest.approx(0, abs=1e-3)
    assert notes.steps[8]["loss"] < 0.6
    assert notes.steps[8]["accuracy"] == 1.0
    assert {"margin", "beta_mean", "beta_std", "filtered", "tokens", "lr", "grad_norm"} <= notes.steps[8].keys()
    assert [step for step, _ in notes.gaps] == [0, 3, 6, 8]
    assert [pair_id for pair_id, _ in notes.gaps[8, "train"]] == [str(i) for i in range(32)]
    assert all(abs(gap) < 1e-3 for _, gap in notes.gaps[0, "train"])
    assert notes.info["route"].startswith("shared prefix")


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_checkpoint_with_dropout_is_trained_as_one_without(
    bench: Bench, llava: Path, tmp_path: Path, lora_rank: int
) -> None:
    """attention_dropout is a number of the layers, and no module: the policy would not start at its reference."""
    noisy = Path(shutil.copytree(llava, tmp_path / "noisy"))
    said = json.loads((noisy / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        said[part]["attention_dropout"] = 0.5
    (noisy / "config.json").write_text(json.dumps(said))
    plain, other = (
        bench.run(Dpo(), name, model=str(model), lora_rank=lora_rank, epochs=1)
        for name, model in (("plain", llava), ("noisy", noisy))
    )
    assert distance(plain, other) == 0
    assert lora_rank or json.loads((other.model_dir / "config.json").read_text())["text_config"]["attention_dropout"]


def test_the_vision_tower_stays_as_it_was_and_the_rest_moves(bench: Bench, llava: Path) -> None:
    before, after = load_file(llava / "model.safetensors"), weights(bench.run(Dpo(), "out"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any("vision_tower" in name for name in moved)


def test_an_objective_with_a_corrupted_branch_trains_with_one_cache_and_in_any_split(bench: Bench) -> None:
    notes = Notes()
    whole = bench.run(Mdpo(), "mdpo", notes)
    # log 2 a term before the first step, since policy and reference agree on all three branches
    assert notes.steps[1]["loss"] == pytest.approx(3 * 0.693147, abs=1e-3)
    assert distance(whole, bench.run(Mdpo(), "mdpo-4", notes, micro_batch=4)) < 1e-6
    assert notes.info["reference_cached"] is True


def test_lora_trains_the_language_model_alone_and_saves_an_adapter(bench: Bench) -> None:
    notes = Notes()
    result = bench.run(Dpo(), "lora", notes, epochs=4, lora_rank=4, lr=2e-2)
    names = weights(result)
    assert names
    assert all("language_model" in name and "lora" in name for name in names)
    assert json.loads((result.model_dir / "adapter_config.json").read_text())["r"] == 4
    assert notes.steps[1]["gap"] == pytest.approx(0, abs=1e-3)
    assert notes.steps[8]["loss"] < notes.steps[1]["loss"]


def test_an_adapter_is_merged_on_request_and_the_card_says_how_it_was_made(bench: Bench) -> None:
    asked = LoadSettings(system="a red dog .", pad_to_square="on")
    result = bench.run(Dpo(), "merged", lora_rank=4, lr=2e-2, merge=True, prompt=asked)
    merged, _ = load_tiny(result.model_dir.parent / "model-merged")
    base, _ = load_tiny(Path(bench.base.model))
    adapted = PeftModel.from_pretrained(base, result.model_dir)
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, adapted(input_ids=ids).logits, rtol=1e-4, atol=1e-5)
    for adapter, folder in ((str(result.model_dir), bench.base.model), ("", f"{result.model_dir}-merged")):
        assert load_prompts(folder, base.config, adapter=adapter).settings == asked.prompt, "asked as it was trained"
    card = (result.model_dir / "README.md").read_text()
    assert f"sha256 `{load_pairs(bench.base.data).content_hash}`" in card
    assert "lora_rank: 4" in card and "seed 0" in card and f"torch {torch.__version__}" in card
    assert card.count("\n| ") == 1 + 4, "a heading and four steps"


def test_what_cannot_work_is_said_before_anything_is_loaded(bench: Bench) -> None:
    with pytest.raises(UsageError, match="dama needs hardness"):
        bench.run(Dama(), "x", model="absent")
    with pytest.raises(UsageError, match="batch_size=16 is not micro_batch=5"):
        bench.run(Dpo(), "x", micro_batch=5)
    with pytest.raises(UsageError, match="epochs=0"):
        dataclasses.replace(bench.base, epochs=0)
    with pytest.raises(UsageError, match="hf:absent: no such directory"):
        bench.run(Dpo(), "x", model="absent")
