"""The settings of an alignment run that are not its objective's: one dataclass is config, flags and record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class AlignConfig:
    """How a model is trained on preference pairs.

    Args:
        model: directory or hub id of the base model; it is also the reference.
        data: preference pairs (file, directory or hub id; see aligners.pairs.data).
        method: the aligner's name, for the record.
        seed: governs the order of the data and every draw, so that all methods see identical batches.
        epochs: passes over the data; the run has ``epochs * pairs // batch_size`` steps (at least 1).
        batch_size: pairs in an optimiser step, over all processes.
        micro_batch: pairs in a forward at most; the same step results for every value.
        max_length: tokens of prompt and response; responses are cut from the right, image tokens never.
        lora_rank: 0 tunes the language model and projector in full, else LoRA adapters on the language model.
        train_vision: also tune the vision tower (full fine-tuning only).
        dtype: "bfloat16" computes in bfloat16 and keeps float32 weights (bfloat16 under LoRA); "auto": that on CUDA.
        device: "auto", "cpu" or "cuda".
        route: how a pair is run: "shared" prefix in one row, "plain" rows of their own, "auto" (see aligners.pairs).
        checkpoint_every: steps between checkpoints; 0 saves none.
        probe_every: steps between measurements of the probe pairs' reward gaps; 0 measures at the start and end only.
        limit: use the first so many pairs; None uses all.
        skip_bad_rows: leave out rows that cannot be used (broken image, no or several images, equal responses), and
            report them, instead of stopping at the first.
        workers: processes that read and decode images while the model computes; 0 does it in between.
        attention: "flex_attention" skips the blocks of the mask that nobody sees (CUDA; not on CPU, which lacks its
            backward).
        quantize: "4bit" holds the frozen base in NF4 (QLoRA; needs bitsandbytes and lora_rank).
        sharding: over processes, "fsdp" (FSDP2), or DeepSpeed's "zero2" and "zero3"; "none" replicates (DDP).
        merge: after training, also write the model with the adapter merged into it (LoRA), as model-merged.
    """

    model: str
    data: str
    method: str = "dama"
    seed: int = 0
    epochs: int = 1
    batch_size: int = 16
    micro_batch: int = 8
    lr: float = 5e-7
    scheduler: str = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 2048
    lora_rank: int = 0
    lora_alpha: int = 32
    train_vision: bool = False
    dtype: Literal["float32", "bfloat16", "auto"] = "auto"
    device: str = "auto"
    gradient_checkpointing: bool = False
    route: Literal["auto", "shared", "plain"] = "auto"
    checkpoint_every: int = 200
    probe_every: int = 25
    limit: int | None = None
    skip_bad_rows: bool = False
    workers: int = 0
    attention: Literal["sdpa", "flex_attention", "eager"] = "sdpa"
    quantize: Literal["none", "4bit"] = "none"
    sharding: Literal["none", "fsdp", "zero2", "zero3"] = "none"
    merge: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batch", "max_length", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"align: {name}={value}: expected a whole number of at least 1.")
        if self.quantize != "none" and not self.lora_rank:
            raise UsageError("align: quantize=4bit trains adapters only: set lora_rank (for example 64).")
        if self.merge and (not self.lora_rank or self.quantize != "none"):
            raise UsageError("align: merge=true needs LoRA on a base that is not quantized.")
        if self.lora_rank and self.train_vision:
            raise UsageError("align: train_vision has no effect with LoRA: set lora_rank=0 or leave train_vision out.")
