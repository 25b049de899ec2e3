"""Estimates against exact counts at 7B shapes (FlopCounterMode on the meta device: perf/align_flops.py)."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
import yaml

from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.training.base_model import load_base
from aligners.training.config import AlignConfig
from aligners.training.cost import estimate
from aligners.training.sizes import parameters
from harness.errors import UsageError
from harness.util.options import build
from recipes import RECIPES
from tests.tiny_families import shared_family

LLAVA = AlignConfig(model="llava-hf/llava-1.5-7b-hf", data="", micro_batch=2)


@pytest.fixture(autouse=True)
def without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreached(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", unreached)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


@pytest.mark.parametrize(
    ("objective", "lora_rank", "checkpointing", "counted"),
    [
        (Dpo(), 128, False, 26.95),
        (Dpo(), 128, True, 40.42),
        (Dpo(), 0, False, 37.14),
        (Dpo(), 0, True, 47.30),
        (Gap(), 128, False, 33.43),
        (Gap(), 0, False, 40.50),
    ],
)
def test_flops_a_pair_agree_with_the_exact_count(
    objective: Dpo | Gap, lora_rank: int, checkpointing: bool, counted: float
) -> None:
    config = dataclasses.replace(
        LLAVA, data="openbmb/RLAIF-V-Dataset", lora_rank=lora_rank, gradient_checkpointing=checkpointing
    )
    found = estimate(config, objective)
    assert found["TFLOP a pair"] == pytest.approx(counted, rel=0.05)
    assert found["passes a step"] == (2 if isinstance(objective, Gap) else 1)
    assert found["MB of the reference cache on disk"] == pytest.approx(83132 * (4 * 300 + 88) / 1e6)


@pytest.mark.parametrize(
    ("micro_batch", "passes", "training", "probed"),
    [
        (2, 1, 37.14, 39.2),  # its two pairs fit one forward; 8 of 60 probe pairs every 25 steps
        (1, 2, 49.4, 51.4),  # some processes have two of the 12 pairs that count
    ],
)
def test_the_busiest_of_eight_processes_is_counted_with_its_share_of_the_probes(
    micro_batch: int, passes: int, training: float, probed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "8")
    config = dataclasses.replace(LLAVA, data="openbmb/RLAIF-V-Dataset", micro_batch=micro_batch)
    found = estimate(config, Gap())
    assert (found["processes"], found["passes a step"]) == (8, passes)
    assert found["TFLOP a pair"] == pytest.approx(training, rel=0.01)
    assert found["TFLOP a pair, with its share of the probes"] == pytest.approx(probed, rel=0.01)
    more = estimate(config, Gap(), heldout=True)["TFLOP a pair, with its share of the probes"]
    assert more - found["TFLOP a pair"] == pytest.approx(2 * (probed - training), rel=0.05)


@pytest.mark.parametrize("recipe", ["llava15_7b_rlaifv", "llava15_7b_rlaifv_lora", "qwen25_vl_3b_rlaifv"])
def test_recipes_are_estimated_without_weights_or_network(recipe: str) -> None:
    settings = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())
    settings = {name: value for name, value in settings.items() if name not in ("clip", "beta")}
    found = estimate(build(AlignConfig, settings, "align"), Dpo())
    assert found["pairs"] == 22000 and found["steps"] == 5500
    assert found["parameters"] / 1e9 == pytest.approx(3.75 if "qwen" in recipe else 7.06, abs=0.01)
    assert "nominal" in found["notes"]
    held = found["GB a GPU: weights, gradients, optimiser"] + found["GB a GPU: activations"]
    assert 10 < held < 80


def test_lengths_are_those_of_the_users_pairs(llava: Path, pairs_file: Path) -> None:
    found = estimate(AlignConfig(model=str(llava), data=str(pairs_file), limit=20, epochs=4), Dpo())
    assert (found["pairs"], found["steps"], found["image tokens a pair"]) == (20, 5, 4.0)
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()[:20]]
    words = sum(len(row["chosen"].split()) + len(row["rejected"].split()) + 2 for row in rows) / 20
    assert found["tokens a pair"] == pytest.approx(words + 4 + 8, abs=0.1)  # USER : describe the image . ASSISTANT :


def test_a_model_without_a_configuration_is_an_error(tmp_path: Path, pairs_file: Path) -> None:
    with pytest.raises(UsageError, match=r"is no model directory \(no config.json\)"):
        estimate(AlignConfig(model=str(tmp_path), data=str(pairs_file)), Dpo())


@pytest.mark.parametrize("model", ["./missing", "missing", "a/b/missing", "~/missing"])
def test_a_model_that_is_neither_directory_nor_hub_id_is_refused_in_the_words_of_training(
    model: str, pairs_file: Path
) -> None:
    config = AlignConfig(model=model, data=str(pairs_file))
    for refused in (lambda: estimate(config, Dpo()), lambda: load_base(config, torch.device("cpu"))):
        with pytest.raises(UsageError, match=f"^hf:{model}: no such directory, and not a hub id"):
            refused()


def test_sharding_configurations_are_what_their_engines_read() -> None:
    for stage in (2, 3):
        settings = json.loads((RECIPES / f"deepspeed_zero{stage}.json").read_text())
        assert settings["zero_optimization"]["stage"] == stage
        assert settings["train_micro_batch_size_per_gpu"] == settings["gradient_accumulation_steps"] == "auto"
    from accelerate.commands.config.config_args import ClusterConfig

    config = ClusterConfig.from_yaml_file(str(RECIPES / "accelerate_fsdp2.yaml"))
    assert config.distributed_type == "FSDP" and config.fsdp_config["fsdp_version"] == 2


def test_of_a_mixture_of_experts_the_active_ones_count() -> None:
    """Two layers: attention 32x32 + 2 (32x16) + 32x32, and two of four experts of 32x32 + 16x32 each."""
    shapes = shared_family("qwen3_vl_moe")[0].config
    sizes = parameters(shapes, AlignConfig(model="M", data="", lora_rank=2))
    assert sizes.language == 2 * (3072 + 2 * 1536)
    assert sizes.trainable == 2 * 2 * ((32 + 32) + 2 * (32 + 16) + (32 + 32))
