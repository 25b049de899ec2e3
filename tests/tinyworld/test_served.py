"""The world's base model behind a server: vLLM's names for its weights, and the figures that it has here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner
from safetensors import safe_open
from transformers import AutoModelForImageTextToText

from cli import cli
from tests.harness.template_server import TemplateServer
from tinyworld.build import World
from tinyworld.export import export_object_halbench
from tinyworld.llava import make_model, make_processor, save
from tinyworld.scenes import draw_scenes


def names(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as weights:
        return set(weights.keys())


def test_the_weights_are_called_as_on_the_hub_and_stay_so_when_they_are_saved_again(
    world: World, tmp_path: Path
) -> None:
    """Servers know no other names; what is trained from the base is saved like it."""
    called = names(world.model_dir)
    assert "vision_tower.vision_model.embeddings.patch_embedding.weight" in called
    assert {"language_model.lm_head.weight", "multi_modal_projector.linear_1.weight"} < called
    loaded: Any = AutoModelForImageTextToText.from_pretrained(world.model_dir, output_loading_info=True)
    model, report = loaded
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    model.save_pretrained(tmp_path)
    assert names(tmp_path) == called


def test_its_figures_are_the_same_here_and_served(tmp_path: Path) -> None:
    """Of an untrained model of its kind, with eyes made sharper so that its random captions differ by picture."""
    torch.manual_seed(1)
    model, folder = make_model(), tmp_path / "base"
    for weight in model.model.vision_tower.parameters():
        weight.data.mul_(4)
    save(model, make_processor(), folder)
    export_object_halbench(tmp_path / "object_halbench", draw_scenes(12, 0, 4))

    def figures(*words: str) -> dict[str, Any]:
        benchmark = ["bench", "--benchmark", "object_halbench", "--data-dir", str(tmp_path), "--judge", "rule"]
        settings = [
            "--set",
            "decoding={max_new_tokens: 24, num_beams: 1}",
            "--db",
            str(tmp_path / "r.sqlite"),
            "--no-probe",
        ]
        result = CliRunner().invoke(cli, [*benchmark, *settings, *words, "--json"])
        assert result.exit_code == 0, (result.output, result.exception)
        metrics: dict[str, Any] = json.loads(result.stdout)[0]["metrics"]
        return metrics

    here = figures("--model", f"hf:{folder}", "--device", "cpu")
    with TemplateServer(folder, "base") as server:
        assert figures("--model", f"openai:base@{server.url}") == here
        assert server.prompts[0].startswith("<s>USER: <image>\n")
    assert 0 < here["chair_i"]["value"] < 100 and here["recall"]["value"] > 0
