"""Alignments of a tiny LLaVA on the device: equal to the CPU's, to each other, and to themselves when cut."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.training.pipeline import AlignResult
from harness.errors import HarnessError
from tests.aligners.training.runs import Bench, Notes, weights
from tests.gpu.where import CUDA, DEVICE
from tests.house import ROOT

pytestmark = [pytest.mark.gpu, pytest.mark.needs("cuda")]
ON_CUDA = pytest.mark.skipif(not CUDA, reason="needs CUDA itself")
APART, APART_HALF = 0.02, 0.2
"""What two runs of four steps may be apart by rounding, in float32 and in bfloat16 (see ``apart``). A share p of the
gradients that change sign makes the square root of 4p of it."""
WORKER = """
import sys, torch
torch.backends.cudnn.allow_tf32 = False
from pathlib import Path
from aligners.dpo import Dpo
from aligners.training.config import AlignConfig
from aligners.training.pipeline import align
from tests.aligners.training.runs import Notes
model, data, out, sharding = sys.argv[1:]
config = AlignConfig(model=model, data=data, epochs=2, lr=2e-3, batch_size=8, micro_batch=8, checkpoint_every=0,
                     warmup=0.25, dtype="float32", sharding=sharding)
align(config, Dpo(), Notes(), Path(out), hardness=None, resume=False)
"""


def apart(one: AlignResult, other: AlignResult, bench: Bench) -> float:
    """How far two trained models are from each other, as a share of how far training moved the first (of adapters,
    of their size), over all weights. Not the largest difference: where a gradient is almost 0 the first step of AdamW
    is the sign of rounding."""
    start = load_file(Path(bench.base.model) / "model.safetensors")
    moved, other_moved = weights(one), weights(other)
    assert moved.keys() == other_moved.keys()
    total = sum((w - start.get(name, torch.zeros(()))).double().square().sum() for name, w in moved.items())
    between = sum((w - other_moved[name]).double().square().sum() for name, w in moved.items())
    assert total > 0
    return math.sqrt(between / total)


def test_the_device_gives_what_the_cpu_gives_in_float32(bench: Bench) -> None:
    here = bench.run(Dpo(), "here", dtype="float32")
    assert here.record["device"].startswith(DEVICE.type)
    there = bench.run(Dpo(), "there", dtype="float32", device="cpu")
    assert apart(here, there, bench) <= APART


def test_rewards_begin_at_zero_in_bfloat16(bench: Bench) -> None:
    """0.005 nats in the root of the mean square: reference and policy compute alike."""
    for rank in (0, 4):
        notes = Notes()
        bench.run(Dpo(), f"start-{rank}", notes, dtype="bfloat16", lora_rank=rank)
        gaps = torch.tensor([gap for _, gap in notes.gaps[0, "train"]])
        assert gaps.square().mean().sqrt() <= 0.005


def test_micro_batches_give_the_step(bench: Bench) -> None:
    whole = bench.run(Gap(), "whole", dtype="float32")
    parts = bench.run(Gap(), "parts", dtype="float32", micro_batch=2)
    assert apart(whole, parts, bench) <= APART


@pytest.mark.parametrize("rank", [0, 4])
def test_a_run_that_is_cut_resumes_and_equals_one_that_is_not(bench: Bench, rank: int) -> None:
    options: dict[str, Any] = {"lora_rank": rank, "gradient_checkpointing": rank > 0}
    options |= {"dtype": "bfloat16", "checkpoint_every": 2}
    whole, cut, resumed = Notes(), Notes(stop_at=3), Notes()
    one = bench.run(Dpo(), f"one-{rank}", whole, **options)
    with pytest.raises(KeyboardInterrupt):
        bench.run(Dpo(), f"cut-{rank}", cut, **options)
    other = bench.run(Dpo(), f"cut-{rank}", resumed, resume=True, **options)
    assert sorted(resumed.steps) == [3, 4]
    for step, metrics in resumed.steps.items():
        assert metrics["loss"] == pytest.approx(whole.steps[step]["loss"], rel=1e-2, abs=1e-3)
    assert apart(one, other, bench) <= APART_HALF


def test_workers_that_are_started_after_cuda_read_the_same_pairs(bench: Bench) -> None:
    one = bench.run(Dpo(), "alone", dtype="float32")
    two = bench.run(Dpo(), "workers", dtype="float32", workers=2)
    assert apart(one, two, bench) <= APART


@ON_CUDA
def test_flex_attention_gives_what_sdpa_gives(bench: Bench) -> None:
    one = bench.run(Dpo(), "sdpa", dtype="float32")
    other = bench.run(Dpo(), "flex", dtype="float32", attention="flex_attention")
    assert "flex_attention" in other.record["route"]
    assert apart(one, other, bench) <= APART_HALF, "another kernel"


@ON_CUDA
@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="no bitsandbytes")
def test_adapters_are_trained_on_four_bit_weights(bench: Bench) -> None:
    notes = Notes()
    bench.run(Dpo(), "four-bit", notes, dtype="bfloat16", lora_rank=4, quantize="4bit")
    assert all(metrics["grad_norm"] > 0 for metrics in notes.steps.values())


@pytest.mark.parametrize("sharding", ["fsdp", "zero3"])
def test_a_sharded_run_of_one_process_equals_a_plain_one(bench: Bench, tmp_path: Path, sharding: str) -> None:
    if sharding == "zero3" and (importlib.util.find_spec("deepspeed") is None or not CUDA):
        pytest.skip("no deepspeed" if CUDA else "needs CUDA itself")
    plain = bench.run(Dpo(), f"plain-{sharding}", dtype="float32")
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1"]
    command += [str(tmp_path / "worker.py"), bench.base.model, bench.base.data, str(tmp_path / "out"), sharding]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment, limit = {**os.environ, "PYTHONPATH": path}, 100 if CUDA else 400
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=limit)
    assert done.returncode == 0, done.stderr[-3000:]
    assert apart(plain, AlignResult(tmp_path / "out/model", 4, {}), bench) <= APART


@ON_CUDA
def test_running_out_of_memory_names_the_setting_that_helps(bench: Bench) -> None:
    with no_memory_left(Notes()) as notes, pytest.raises(HarnessError, match=r"out of memory with .* Set micro_b"):
        bench.run(Dpo(), "no-memory", notes, dtype="float32")


@contextlib.contextmanager
def no_memory_left(notes: Notes) -> Iterator[Notes]:
    """``notes`` of a run that, once its first gaps are measured, finds all memory of the device in use."""
    held: list[torch.Tensor] = []

    def take_all(*_: object) -> None:
        torch.cuda.empty_cache()
        share = torch.cuda.memory_reserved() / torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(share)
        for size in (2**20, 2**16, 2**9):
            with contextlib.suppress(torch.OutOfMemoryError):
                while True:
                    held.append(torch.empty(size, dtype=torch.uint8, device=DEVICE))

    try:
        with mock.patch.object(notes, "log_gaps", take_all):
            yield notes
    finally:
        held.clear()
        torch.cuda.set_per_process_memory_fraction(1.0)
