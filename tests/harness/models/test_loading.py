"""Loading a model and its processor: the same weights whichever side asks, errors that say what to give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aligners.training.base_model import load_base
from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.models.hf import HfModel
from harness.models.loading import device_named, load
from harness.models.spec import load_model
from harness.models.weights import tensors_hash
from tests.tiny import tiny_llava

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_align_and_bench_load_the_same_weights(tmp_path: Path, dtype: str) -> None:
    folder = tiny_llava(tmp_path / "model")
    lora = 4 if dtype == "bfloat16" else 0  # full fine-tuning keeps float32 weights
    trained = load_base(AlignConfig(model=str(folder), data="", lora_rank=lora, dtype=dtype), CPU).model  # type: ignore[arg-type]
    asked = load_model(f"hf:{folder}", device="cpu", settings={"dtype": dtype})
    assert isinstance(asked, HfModel)
    assert tensors_hash(trained) == tensors_hash(asked._model)
    assert str(trained.dtype) == f"torch.{dtype}"


def test_loading_reports_from_nothing_to_all_weights(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int]] = []
    folder = tiny_llava(tmp_path / "model")
    load(str(folder), device=CPU, named="model", progress=lambda *report: reports.append(report))
    assert reports[0] == ("model weights", 0, 1) and reports[-1] == ("model weights", 1, 1)
    steps = [done for _, done, total in reports if total > 1]
    assert len(steps) > 20 and steps == sorted(steps)


def test_what_cannot_be_loaded_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(
        UsageError, match=r"(?s)--model hf:x: transformers cannot load .* Give the directory of an image-text"
    ):
        load(str(tmp_path), device=CPU, named="--model hf:x")
    with pytest.raises(UsageError, match="dtype 'float8': choose one of auto, float32"):
        load(str(tmp_path), device=CPU, named="x", dtype="float8")


def test_devices_are_named_or_refused() -> None:
    assert device_named("cpu") == CPU
    with pytest.raises(UsageError, match="--device gpu: expected auto, cpu, cuda"):
        device_named("gpu")
    if not torch.cuda.is_available():
        assert device_named("auto") == CPU
        with pytest.raises(UsageError, match="sees no GPU here"):
            device_named("cuda:1")
