"""The settings of an alignment in the terms of transformers.Trainer: batches, schedule, precision, sharding."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from transformers import TrainingArguments

from aligners.training.base_model import compute_dtype
from aligners.training.config import AlignConfig
from aligners.training.sharding import DEEPSPEED, begin_sharding, require_engine, sharded
from harness.errors import UsageError
from harness.util.distributed import rank_and_world_size


def training_arguments(config: AlignConfig, out_dir: Path, steps: int, name: str = "") -> TrainingArguments:
    """Trainer's arguments for ``steps`` optimiser steps of the run called ``name``; checkpoints go to ``out_dir``.

    Raises UsageError where batch size and processes do not divide, or the device or DeepSpeed is not there.
    """
    micro, accumulate = micro_batches(config)
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    if on_cpu and config.device not in {"auto", "cpu"}:
        raise UsageError(f"align: device={config.device}: no such device here. Use auto or cpu.")
    if config.device not in {"auto", "cpu", "cuda", "cuda:0"}:
        number = config.device.partition(":")[2]
        raise UsageError(
            f"align: device={config.device}: training takes the first GPU that it sees. Set the environment variable "
            f"CUDA_VISIBLE_DEVICES={number} and device=cuda."
        )
    half = compute_dtype(config, torch.device("cpu" if on_cpu else "cuda")) == "bfloat16"
    require_engine(config, on_cpu=on_cpu, half=half)
    args = TrainingArguments(
        output_dir=str(out_dir),
        use_cpu=on_cpu,
        bf16=half and config.sharding not in DEEPSPEED,
        seed=config.seed,
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulate,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=warmup_steps(config.warmup, steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        save_strategy="steps" if config.checkpoint_every else "no",
        save_steps=config.checkpoint_every or steps,
        save_total_limit=None,  # older ones are removed once the new one is complete (aligners.training.checkpoints)
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_num_workers=config.workers,
        report_to="none",  # the first process alone reports (aligners.training.reporting)
        run_name=name or out_dir.name,
        disable_tqdm=True,
        **sharded(config, half=half),
    )
    begin_sharding(args, config, half=half)
    # One process drives one device: several are started with torchrun, never by DataParallel.
    args._n_gpu = min(1, args.n_gpu)
    return args


def warmup_steps(share: float, steps: int) -> int:
    """Steps of warm-up, the first of which has a learning rate of 0: none where they would be less than one step, or
    all there is.
    """
    return math.ceil(share * steps) if share * steps >= 1 < steps else 0


def micro_batches(config: AlignConfig) -> tuple[int, int]:
    """Pairs of a micro-batch, and micro-batches of a step, on this process. Raises UsageError if they do not divide."""
    _, world = rank_and_world_size()
    micro = min(config.micro_batch, config.batch_size // world)
    if micro < 1 or config.batch_size % (micro * world):
        raise UsageError(
            f"align: batch_size={config.batch_size} is not micro_batch={micro} times {world} processes times a whole "
            "number. Change batch_size or micro_batch."
        )
    return micro, config.batch_size // (micro * world)
