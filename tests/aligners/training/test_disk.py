"""What the dry run says of checkpoints is what lies on the disk, and nothing lies there twice."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aligners.dpo import Dpo
from aligners.training.checkpoints import checkpoints
from aligners.training.config import AlignConfig
from aligners.training.cost import estimate
from aligners.training.disk import checkpoint_bytes, disk_facts
from aligners.training.pipeline import AlignResult
from harness.util.options import build
from tests.aligners.training.launched import launch
from tests.aligners.training.runs import Bench, Notes, weights

DEEPSPEED = importlib.util.find_spec("deepspeed") is not None


OWN = {"training_args.bin", "scheduler.pt"}


def tensor_bytes(checkpoint: Path) -> int:
    """Bytes of all tensors of a checkpoint but the random states and the counts of steps, a shared one once a file."""
    held = sum(tensor.nbytes for file in checkpoint.glob("*.safetensors") for tensor in load_file(file).values())
    for file in (*checkpoint.rglob("*.pt"), *checkpoint.glob("*.bin")):
        if file.name not in OWN:
            found = _tensors(torch.load(file, weights_only=False, map_location="cpu"))  # DeepSpeed's hold its own types
            held += sum({tensor.data_ptr(): tensor.nbytes for tensor in found if tensor.numel() > 1}.values())
    return held


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for each in inner for tensor in _tensors(each)]


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_checkpoint_holds_the_weights_once_and_is_as_large_as_the_dry_run_says(bench: Bench, lora_rank: int) -> None:
    changes: dict[str, Any] = {"lora_rank": lora_rank, "checkpoint_every": 1, "probe_every": 0}
    with pytest.raises(KeyboardInterrupt):
        bench.run(Dpo(), f"stopped-{lora_rank}", Notes(stop_at=2), **changes)
    (saved,) = checkpoints(bench.folder / f"stopped-{lora_rank}")
    config = AlignConfig(**{**vars(bench.base), **changes})
    found = estimate(config, Dpo())
    expected = checkpoint_bytes(found["parameters"], found["trainable parameters"], config)
    assert tensor_bytes(saved) == pytest.approx(expected, rel=0.01)
    assert found["GB a checkpoint"] == round(expected / 1e9, 3)


def test_the_peak_counts_the_checkpoint_that_is_written_beside_those_that_are_kept() -> None:
    def peak(steps: int, **changes: Any) -> tuple[float, float]:
        facts = disk_facts(10**9, 5 * 10**8, AlignConfig(model="m", data="d", **changes), steps)
        return facts["checkpoints kept"], facts["GB on disk at the peak"]

    assert peak(400, checkpoint_every=0) == (0, 4.0), "the model alone"
    assert peak(100, checkpoint_every=200) == (1, 12.0), "after the last step, and then the model"
    assert peak(1000, checkpoint_every=200) == (2, 24.0), "three of 8 GB, or two and the model"
    assert peak(1000, checkpoint_every=200, lora_rank=8) == (2, 18.0)
    assert peak(1000, checkpoint_every=0, lora_rank=8, merge=True) == (0, 4.0)


@pytest.mark.cluster
@pytest.mark.parametrize("sharding", ["fsdp", *(["zero2", "zero3"] if DEEPSPEED else [])])
@pytest.mark.parametrize("lora_rank", [0, 4])
def test_engines_keep_the_weights_once_and_a_run_resumes_from_their_files_bit_equal(
    llava: Path, pairs_file: Path, tmp_path: Path, sharding: str, lora_rank: int
) -> None:
    settings = {
        "model": str(llava), "data": str(pairs_file), "epochs": 2, "lr": 2e-3, "micro_batch": 4, "device": "cpu",
        "warmup": 0.25, "checkpoint_every": 1, "probe_every": 0, "sharding": sharding, "lora_rank": lora_rank,
        "gradient_checkpointing": True,
    }  # fmt: skip
    whole = {"set": settings, "method": "dpo", "folder": str(tmp_path / "whole")}
    part = {**whole, "folder": str(tmp_path / "part")}
    again = {**part, "resume": True, "without": "checkpoint-4"}
    came = launch([whole, part, again], tmp_path, tmp_path / "home")
    assert [[*each["losses"]] for each in came] == [["1", "2", "3", "4"], ["1", "2", "3", "4"], ["4"]], came
    (saved, *_) = checkpoints(tmp_path / "whole")
    config = build(AlignConfig, settings, "align")
    found = estimate(config, Dpo())
    expected = checkpoint_bytes(found["parameters"], found["trainable parameters"], config)
    assert tensor_bytes(saved) == pytest.approx(expected, rel=0.02)
    one, resumed = (weights(AlignResult(tmp_path / name / "model", 4, {})) for name in ("whole", "part"))
    assert all(torch.equal(one[name], resumed[name]) for name in one)
