"""The settings of an alignment run that are not its objective's: one dataclass is config, flags and record."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from aligners.pairs.reading import Reading
from aligners.training.reporting import tracker_names
from harness.errors import UsageError
from harness.models.settings import LoadSettings
from harness.util.options import added, unkeyed
from harness.util.ranges import Range, above, at_least, require_ranges, share

FULL_LR = 5e-7
"""DAMA's and RLAIF-V's, on LLaVA-1.5-7B with batches of 16 pairs (docs/papers.md)."""
LORA_LR = 5e-6
"""Ten times that: TRL's example script of DPO and LLaMA-Factory's LoRA examples of DPO take the same. Papers that train
with LoRA lie between 2e-6 (DA-DPO) and 1e-5 (mDPO)."""
Scheduler = Literal[
    "cosine", "linear", "constant", "constant_with_warmup", "cosine_with_restarts", "polynomial", "inverse_sqrt"
]
"""Those of transformers that need no further argument."""
POLYNOMIAL_END = 1e-7
"""Where transformers' polynomial schedule ends."""
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class AlignConfig(Reading):
    """How a model is trained on preference pairs.

    Args:
        model: directory or hub id of the model to start from, with adapters BASE+ADAPTER; it is also the reference.
        data: preference pairs: a file, a directory or a hub id, or several with commas between (docs/data.md).
        method: the aligner's name, for the record.
        seed: governs the order of the data and every draw, so that all methods see identical batches.
        epochs: passes over the data; the run has ``epochs * pairs // batch_size`` steps, at least 1.
        batch_size: pairs in an optimiser step, over all processes.
        micro_batch: pairs in a forward at most; the same step results for every value.
        lr: peak learning rate of AdamW; None: 5e-7, with LoRA 5e-6. The record shows the number.
        scheduler: how the learning rate falls after warm-up, by transformers' names.
        warmup: share of the steps in which the learning rate rises from 0; none where that is less than one step.
        weight_decay: of AdamW.
        max_grad_norm: gradients are scaled down to this norm; 0 leaves them as they are.
        max_length: tokens of prompt and response; responses are cut from the right, image tokens never.
        lora_rank: 0 tunes the language model and projector in full, else LoRA adapters on the language model.
        lora_alpha: the adapters' updates count alpha / rank times.
        train_vision: also tune the vision tower (full fine-tuning only).
        dtype: "bfloat16" computes in bfloat16 and keeps float32 weights (bfloat16 under LoRA); "auto": that on
            a GPU that has it in hardware.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        gradient_checkpointing: compute activations twice instead of keeping them: less memory, a third more time.
        route: how a pair is run: "shared" prefix in one row, "plain" rows of their own, "auto": shared where it
            is exact.
        checkpoint_every: steps between checkpoints; 0 saves none.
        probe_every: steps between measurements of the probe pairs' reward gaps; 0 measures at the start and end only.
        limit: use the first so many pairs; None uses all.
        skip_bad_rows: leave out rows that cannot be used (missing or broken image, equal or empty responses), and
            report them, instead of stopping at the first.
        workers: processes that read and decode images while the model computes; 0 does it in between.
        keep_encoded: GB of memory, of each process with its workers, for encoded pairs, so that later epochs need not
            encode them again (a pair of LLaVA-1.5 takes 1.4 MB, pairs of one image hold it once); 0 keeps none.
        attention: "flex_attention" skips the blocks of the mask that nobody sees (CUDA; not on CPU, which lacks its
            backward). "flash_attention_2" obeys no mask of ours, so that pairs run as plain rows; it needs bfloat16.
            "auto": that where pairs run as plain rows anyway, on CUDA in bfloat16 where it is installed, else sdpa.
        quantize: "4bit" holds the frozen base in NF4 (QLoRA; needs bitsandbytes and lora_rank).
        sharding: over processes, "fsdp" (FSDP2), or DeepSpeed's "zero2" and "zero3"; "none" replicates (DDP).
        adapter_start: how a model with adapters is trained under LoRA: "stack" puts a new adapter on top, "continue"
            trains the last one further (lora_rank and lora_alpha are its own). Without LoRA they are added to the
            weights, which are then trained.
        share_images: run pairs of the same images as one row, so that the image is computed once (the prompt must put
            it first). The gradient of a step is exact; which pairs share a step changes: those of an image do.
        group_lengths: sort the pairs of every 50 steps by length before they are cut into steps, in random order, so
            that rows need little padding. It changes which pairs share a step.
        prompt: how the model is asked and where it comes from (`--set model.KEY=VALUE`, as in bench).
        merge: after training, also write the model with the adapter merged into it (LoRA), as model-merged. Not with
            sharding=fsdp or zero3: `export-model RUN --merge` does it afterwards.
        report_to: trackers that get the metrics of every step, one or several with commas: tensorboard, wandb, trackio,
            mlflow, swanlab (docs/watching.md).
    """

    model: str
    data: str
    method: str = "dama"
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    epochs: Annotated[int, at_least(1, "passes")] = 1
    batch_size: Annotated[int, at_least(1, "pairs")] = 16
    micro_batch: Annotated[int, at_least(1, "pairs")] = 8
    lr: Annotated[float, above(0)] | None = None
    scheduler: Scheduler = "cosine"
    warmup: Annotated[float, share("share of the steps")] = 0.1
    weight_decay: Annotated[float, at_least(0)] = 0.0
    max_grad_norm: Annotated[float, at_least(0)] = 1.0
    max_length: Annotated[int, at_least(1, "tokens")] = 2048
    lora_rank: Annotated[int, at_least(0)] = 0
    lora_alpha: Annotated[int, at_least(1)] = 32
    train_vision: bool = False
    dtype: Literal["float32", "bfloat16", "auto"] = "auto"
    device: str = "auto"
    gradient_checkpointing: bool = False
    route: Literal["auto", "shared", "plain"] = "auto"
    checkpoint_every: Annotated[int, at_least(0, "steps")] = 200
    probe_every: Annotated[int, at_least(0, "steps")] = 25
    limit: Annotated[int, at_least(1, "pairs")] | None = None
    skip_bad_rows: bool = False
    workers: Annotated[int, at_least(0, "processes")] = 0
    attention: Literal["sdpa", "flex_attention", "eager", "flash_attention_2", "auto"] = "sdpa"
    quantize: Literal["none", "4bit"] = "none"
    sharding: Literal["none", "fsdp", "zero2", "zero3"] = "none"
    merge: bool = False
    report_to: str = unkeyed("none")
    keep_encoded: Annotated[float, at_least(0, "GB")] = unkeyed(2.0)
    adapter_start: Literal["stack", "continue"] = added("stack")
    share_images: bool = added(False)
    group_lengths: bool = added(False)
    prompt: LoadSettings = added(LoadSettings())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lr is None:
            object.__setattr__(self, "lr", LORA_LR if self.lora_rank else FULL_LR)
        require_ranges(self, "align")
        if self.scheduler == "polynomial" and self.learning_rate <= POLYNOMIAL_END:
            raise UsageError(
                f"align: lr={self.lr}: expected more than {POLYNOMIAL_END}, at which scheduler=polynomial ends. Choose "
                "another scheduler."
            )
        if not DEVICE.fullmatch(self.device):
            raise UsageError(f"align: device={self.device}: expected auto, cpu, cuda or cuda:0.")
        tracker_names(self.report_to)
        if self.share_images and self.route == "plain":
            raise UsageError("align: share_images=true runs shared rows: set route=auto or leave share_images out.")
        if self.quantize != "none" and not self.lora_rank:
            raise UsageError("align: quantize=4bit trains adapters only: set lora_rank (for example 64).")
        if self.merge and (not self.lora_rank or self.quantize != "none"):
            raise UsageError("align: merge=true needs LoRA on a base that is not quantized.")
        if self.merge and self.sharding in {"fsdp", "zero3"}:  # no process holds the base whole
            raise UsageError(
                f"align: merge=true: sharding={self.sharding} leaves each process a part of the base to merge into. "
                "Leave merge out, and write the merged model afterwards: python cli.py export-model RUN --merge."
            )
        if self.adapter_start == "continue" and not self.lora_rank:
            raise UsageError("align: adapter_start=continue trains an adapter: set lora_rank to that of the adapter.")
        if self.lora_rank and self.train_vision:
            raise UsageError("align: train_vision has no effect with LoRA: set lora_rank=0 or leave train_vision out.")

    @property
    def learning_rate(self) -> float:
        """``lr``, which is a number once the settings are made."""
        assert self.lr is not None
        return self.lr
