"""What must hold of weights: finite, in a model as in its files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from harness.errors import DataError
from harness.models.checks import is_finite, require_finite


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
