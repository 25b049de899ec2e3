"""A tiny LLaVA and its pairs, made once; caches go to a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from aligners.training.config import AlignConfig
from tests.aligners.training.runs import Bench
from tests.gpu.where import CUDA
from tests.tiny import tiny_llava, tiny_pairs


@pytest.fixture(autouse=True)
def float32_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default cuDNN rounds the inputs of convolutions to TF32, which no comparison with a CPU survives."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``model`` (heads of 16 numbers) and ``pairs/train.jsonl``."""
    folder = tmp_path_factory.mktemp("made")
    tiny_llava(folder / "model")
    tiny_pairs(folder / "pairs", count=16)
    return folder


@pytest.fixture(scope="module")
def bench(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Alignments on the device, four steps of eight pairs each, under one cache."""
    config = AlignConfig(
        model=str(made / "model"), data=str(made / "pairs/train.jsonl"), epochs=2, lr=2e-3, batch_size=8, micro_batch=8,
        checkpoint_every=0, warmup=0.25, device="auto" if CUDA else "cpu",
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAMA_HOME", str(tmp_path_factory.mktemp("home")))
        yield Bench(config, tmp_path_factory.mktemp("runs"))
