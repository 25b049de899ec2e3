"""How a model is spread over processes: FSDP2 and DeepSpeed's ZeRO in the terms of transformers.Trainer.

Both read the model once: under ZeRO-3 every process keeps its part of a weight as the first reads it, under FSDP2 the
others hold no weights until the first sends them their parts. Numerics are those of the unsharded run: float32 weights,
which autocast computes with in bfloat16, and gradients that are summed over processes in float32.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
from collections.abc import Iterator
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainingArguments
from transformers.integrations.deepspeed import deepspeed_config, unset_hf_deepspeed_config

from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.util.distributed import launched
from recipes import RECIPES

DEEPSPEED = frozenset({"zero2", "zero3"})
LAUNCHED = {"ACCELERATE_USE_FSDP": {"fsdp"}, "ACCELERATE_USE_DEEPSPEED": DEEPSPEED}
"""How `accelerate launch` says which engine its configuration has, and the values of ``sharding`` that use it."""


@contextlib.contextmanager
def one_engine() -> Iterator[None]:
    """Of a run: what transformers and accelerate note of its engine in the environment is gone after it."""
    before = set(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - before:
            if name.startswith(("ACCELERATE_", "FSDP_")):
                del os.environ[name]
        unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]


def require_engine(config: AlignConfig, *, on_cpu: bool, half: bool) -> None:
    """Raise UsageError where ``config.sharding`` has no processes to spread over, its library is not there, or the
    launcher has another engine.

    DeepSpeed must know of a CPU before it is imported: where it sees a GPU it would take that one.
    """
    for engine, those in LAUNCHED.items():
        if os.environ.get(engine, "").lower() == "true" and config.sharding not in those:
            raise UsageError(
                f"align: sharding={config.sharding}: the launcher's configuration has another engine ({engine} is "
                f"true). Set sharding={' or '.join(sorted(those))}, or launch without it."
            )
    # Trainer would follow the launcher's configuration, and compute in another type than the record says.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16" if half and config.sharding not in DEEPSPEED else "no"
    if config.sharding == "none":
        return
    if not launched():
        raise UsageError(
            f"align: sharding={config.sharding} spreads the model over processes, and this is one alone. Start it with "
            "torchrun --standalone --nproc-per-node N cli.py align ..., or --set sharding=none."
        )
    if config.sharding in DEEPSPEED:
        if importlib.util.find_spec("deepspeed") is None:
            raise UsageError(
                f"align: sharding={config.sharding} needs DeepSpeed: pip install deepspeed, or set sharding=fsdp."
            )
        if on_cpu:
            os.environ.setdefault("DS_ACCELERATOR", "cpu")


def sharded(config: AlignConfig, *, half: bool) -> dict[str, Any]:
    """Trainer's settings for ``config.sharding``; with ``half`` bfloat16 is computed in.

    FSDP checkpoints activations itself. DeepSpeed's own bfloat16 would save weights in it, and lose small updates.
    """
    checkpointing = {"activation_checkpointing": config.gradient_checkpointing}
    if config.sharding == "none":
        return checkpointing
    if config.sharding == "fsdp":
        return {"fsdp": True, "fsdp_config": {"version": 2, "cpu_ram_efficient_loading": True, **checkpointing}}
    settings = json.loads((RECIPES / f"deepspeed_{config.sharding}.json").read_text())
    settings["torch_autocast"]["enabled"] = half
    return {**checkpointing, "deepspeed": settings}


@contextlib.contextmanager
def made_in(dtype: str, config: AlignConfig) -> Iterator[None]:
    """Under ZeRO-3: weights that are loaded are of ``dtype``, "float32" or "bfloat16".

    DeepSpeed (0.19) makes them in the type of its own settings, whatever type transformers is asked for. Training does
    not see that setting: DeepSpeed's own bfloat16 would save weights in it (see ``sharded``).
    """
    engine: dict[str, Any] = deepspeed_config() if config.sharding == "zero3" else {}  # type: ignore[no-untyped-call]
    engine["bf16"] = {"enabled": dtype == "bfloat16"}
    try:
        yield
    finally:
        del engine["bf16"]


def without_ddp(wrapped: Any) -> Any:
    """The model as training computes with it, but for DDP: that adds gradients alone, and would wait for the others."""
    return wrapped.module if isinstance(wrapped, DistributedDataParallel) else wrapped


def save_as_loaded(model: Any) -> None:
    """Have ``model`` saved under the names of the files that it was loaded from.

    Under ZeRO-3 transformers (5.23) remembers every renaming that it knows for a model type, not those that the files
    needed, and would undo them all.
    """
    if renamings := getattr(model, "_weight_conversions", None):
        model._weight_conversions = [renaming for renaming in renamings if renaming.was_used()]


def reshard(model: Any) -> None:
    """Give back what FSDP gathered for a forward that no backward followed: of the outermost part it keeps it."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def layout_of(accelerator: Accelerator) -> str:
    """How a checkpoint's tensors are cut among processes: "" where the first holds them whole."""
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        stage = accelerator.state.deepspeed_plugin.zero_stage
        return f"with sharding=zero{stage} over {accelerator.num_processes} processes"
    return "with sharding=fsdp" if accelerator.distributed_type == DistributedType.FSDP else ""


def begin_sharding(args: TrainingArguments, config: AlignConfig, *, half: bool) -> None:
    """Have the engine own the process group and the numerics, before the model is loaded under it."""
    state = args.distributed_state
    assert state is not None
    if config.sharding == "fsdp":
        # accelerate falls back to DDP, without a word, where all processes are on CPUs, although FSDP2 runs on gloo
        if state.distributed_type == DistributedType.MULTI_CPU:
            state.distributed_type = DistributedType.MULTI_GPU
        if half:  # accelerate's own policy sums gradients and returns logits in bfloat16
            from torch.distributed.fsdp import MixedPrecisionPolicy

            policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
            args.fsdp_plugin_args = {**(args.fsdp_plugin_args or {}), "mixed_precision_policy": policy}
    elif config.sharding in DEEPSPEED:
        from deepspeed import comm, ops

        if not comm.is_initialized():  # on CPUs transformers leaves that out
            ops.__compatible_ops__["deepspeed_shm_comm"] = False  # gloo does without what would be compiled for minutes
            comm.init_distributed(dist_backend=state.backend, auto_mpi_discovery=False)
        state.distributed_type = DistributedType.DEEPSPEED
