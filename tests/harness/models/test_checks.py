"""What must hold of weights: finite, in a model as in its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.errors import DataError, UsageError
from harness.models.checks import is_finite, require_finite
from harness.models.loading import load
from tests.tiny import tiny_llava


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_one_number_that_is_not_finite_is_found_in_a_model_and_in_its_files(
    bad: float, kind: torch.dtype, tmp_path: Path
) -> None:
    layer = torch.nn.Linear(8, 8).to(kind)
    save_file(layer.state_dict(), tmp_path / "model.safetensors")
    require_finite(layer, "x")
    require_finite(tmp_path, "x")
    layer.weight.data[3, 5] = bad
    save_file(layer.state_dict(), tmp_path / "model.safetensors")
    for source in (layer, tmp_path, str(tmp_path)):
        with pytest.raises(DataError, match=r"^run x: 1 weight \(weight\) holds numbers that are not finite"):
            require_finite(source, "run x")
    (tmp_path / "model.safetensors").unlink()
    torch.save(layer.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="not finite"):
        require_finite(tmp_path, "run x")


def test_weights_that_are_cut_short_or_not_there_are_no_finite_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"run x: its weights cannot be read \(.*no file of weights"):
        require_finite(tmp_path, "run x")
    file = tmp_path / "model.safetensors"
    save_file(torch.nn.Linear(8, 8).state_dict(), file)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(DataError, match="run x: its weights cannot be read"):
        require_finite(tmp_path, "run x")


def test_numbers_of_eight_bits_integers_and_empty_tensors_are_read_too() -> None:
    small = torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn)
    assert is_finite(small[:1]) and not is_finite(small)
    assert is_finite(torch.tensor([1])) and is_finite(torch.empty(0)) and is_finite(torch.empty(2, device="meta"))


@pytest.mark.parametrize("number", [0.0, 0.02])
@pytest.mark.parametrize(
    "name", ["language_model.layers.0.mlp.up_proj.weight", "multi_modal_projector.linear_1.weight"]
)
def test_a_matrix_of_one_number_is_no_trained_one(name: str, number: float) -> None:
    weights = {name: torch.randn(16, 8), "language_model.norm.weight": torch.ones(256)}
    require_finite(weights, "x", trained=True)
    weights[name] = torch.full((16, 8), number)
    require_finite(weights, "x")
    with pytest.raises(UsageError, match=rf"^base x: 1 weight \({name}\) is one number throughout"):
        require_finite(weights, "base x", trained=True)


def test_what_may_be_a_constant_in_a_whole_model_is_let_through() -> None:
    weights = {
        "norm.weight": torch.ones(256),
        "vision_tower.mask.weight": torch.zeros(16, 16),
        "language_model.mask_token": torch.zeros(1, 256),
        "language_model.gate.weight": torch.zeros(8, 8),
        "language_model.q_proj.lora_B.default.weight": torch.zeros(64, 4),
        "language_model.codes": torch.zeros(16, 16, dtype=torch.int8),
        "language_model.elsewhere": torch.empty(16, 16, device="meta"),
    }
    require_finite(weights, "x", trained=True)


def test_a_model_one_of_whose_matrices_is_zero_is_refused_by_name(tmp_path: Path) -> None:
    folder = tiny_llava(tmp_path)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if "language_model" in name and "up_proj" in name)
    save_file({**weights, name: torch.zeros_like(weights[name])}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"^mine: the checkpoint .*up_proj\.weight\) is one number throughout"):
        load(str(folder), device=torch.device("cpu"), named="mine")
