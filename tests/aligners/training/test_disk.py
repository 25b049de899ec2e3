"""What the dry run says of checkpoints is what lies on the disk, and nothing lies there twice."""

from __future__ import annotations

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
from tests.aligners.training.runs import Bench, Notes


def tensor_bytes(folder: Path) -> int:
    """Bytes of all tensors of a checkpoint but the random states and the counts of steps."""
    held = sum(tensor.nbytes for file in folder.glob("*.safetensors") for tensor in load_file(file).values())
    for file in (*folder.glob("optimizer*"), *folder.glob("*.bin")):
        if file.name != "training_args.bin":
            held += sum(tensor.nbytes for tensor in _tensors(torch.load(file, weights_only=True)) if tensor.numel() > 1)
    return held


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
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
