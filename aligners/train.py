"""Alignment from settings to a trained model: data, hardness, reference, training, result."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainingArguments
from transformers.utils import logging as transformers_logging

from aligners.collate import Encoder, prompt_text
from aligners.config import AlignConfig
from aligners.data import Pair, PairSet, load_pairs
from aligners.forward import choose_route
from aligners.lora import make_trainable
from aligners.objective import Objective
from aligners.reference import ReferenceModel
from aligners.trainer import PreferenceData, PreferenceTrainer, last_checkpoint, training_order
from harness.errors import HarnessError, UsageError
from harness.recorder import Recorder

if TYPE_CHECKING:
    from aligners.clip_hardness import HardnessConfig

PROBE_PAIRS = 60
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class AlignResult:
    """A finished run: ``model_dir`` holds the model and its processor (LoRA: the adapter), ``record`` how it was made."""

    model_dir: Path
    steps: int
    record: dict[str, Any]


def align(
    config: AlignConfig,
    objective: Objective,
    recorder: Recorder,
    out_dir: Path,
    *,
    hardness: HardnessConfig | None,
    heldout: PairSet | None = None,
    resume: bool,
    progress: Progress | None = None,
) -> AlignResult:
    """Train ``config.model`` on ``config.data`` with ``objective`` and write it to ``out_dir``/model.

    With ``resume`` it goes on from the last complete checkpoint in ``out_dir``; a resumed run equals an uninterrupted
    one. ``hardness`` is computed for objectives that need it, and for others too (where it can be) to show the gaps of
    easy and hard pairs. ``heldout`` pairs are only measured.
    Raises UsageError (settings), DataError (pairs), HarnessError (a loss or gradient that is not finite).
    """
    started = time.monotonic()
    needed = _check_needs(objective, hardness)
    pairs = load_pairs(config.data, config.limit)
    if not resume:
        shutil.rmtree(out_dir, ignore_errors=True)
    out_dir.mkdir(parents=True, exist_ok=True)

    order = training_order(pairs.pairs, batch_size=config.batch_size, epochs=config.epochs, seed=config.seed)
    args = _training_arguments(config, out_dir, steps=len(order) // config.batch_size)
    main = args.process_index == 0
    dtype = _dtype(config, args.device)
    model, processor = load_model(config.model, dtype="bfloat16" if config.lora_rank and dtype == "bfloat16" else "float32")
    model.to(args.device)
    route, why = choose_route(model, config.route)
    encoder = Encoder(processor, config.max_length)

    train_delta, heldout_delta, facts = None, None, {}
    if hardness is not None:
        train_delta, facts = _hardness(pairs, hardness, config.device, needed=needed)
        if train_delta is not None and heldout is not None:
            heldout_delta, _ = _hardness(heldout, hardness, config.device, needed=False)
    micro = args.per_device_train_batch_size
    probes = {"train": spread(pairs.pairs), **({"heldout": spread(heldout.pairs)} if heldout else {})}
    reference: dict[str, Tensor | None] = dict.fromkeys(["all", *probes])
    cached = False
    if "reference" in objective.needs:
        frozen = ReferenceModel(model, encoder, route=route, dtype=dtype, device=args.device, micro_batch=2 * micro)
        reference["all"], cached = frozen.logprobs(pairs.pairs)
        reference.update({split: frozen.logprobs(probe)[0] for split, probe in probes.items()})

    info = {
        "data": {**pairs.report, "hash": pairs.content_hash},
        "prompt": prompt_text(processor, "{question}"),
        "route": why,
        "dtype": dtype,
        "device": str(args.device),
        "processes": args.world_size,
        "reference_cached": cached,
        "passes": 2 if objective.uses_gaps and (args.gradient_accumulation_steps > 1 or args.world_size > 1) else 1,
        **facts,
    }
    if main:
        recorder.log_info(info)
        for split, deltas in (("train", train_delta), ("heldout", heldout_delta)):
            owner = pairs if split == "train" else heldout
            if deltas is not None and owner is not None:
                recorder.log_hardness(split, dict(zip((p.id for p in owner.pairs), deltas.tolist(), strict=True)))

    columns = data_columns(objective, pairs.pairs)
    trainer = PreferenceTrainer(
        make_trainable(model, config),
        args,
        objective=objective,
        data=PreferenceData(
            pairs.pairs,
            reference["all"],
            train_delta,
            float(train_delta.mean()) if train_delta is not None else 0.0,
            columns,
        ),
        order=order,
        encoder=encoder,
        route=route,
        recorder=recorder,
        probes={
            split: PreferenceData(probe, reference[split], columns=data_columns(objective, probe))
            for split, probe in probes.items()
        },
        probe_every=config.probe_every,
        progress=progress,
    )
    checkpoint = last_checkpoint(out_dir) if resume else None
    if checkpoint is not None:
        trainer.restore(checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model(str(out_dir / "model"))
    record = {**dataclasses.asdict(config), **info, "objective": dataclasses.asdict(objective)}
    record |= {"steps": trainer.state.global_step, "seconds": time.monotonic() - started}
    if main:
        processor.save_pretrained(out_dir / "model")
        (out_dir / "record.json").write_text(json.dumps(record, indent=2, default=str))
        for old in out_dir.glob("checkpoint-*"):
            shutil.rmtree(old)
    return AlignResult(out_dir / "model", trainer.state.global_step, record)


def load_model(source: str, dtype: str) -> tuple[Any, Any]:
    """Model (sdpa attention, dropout off) and processor from a directory or hub id, without progress bars."""
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForImageTextToText.from_pretrained(
            source, dtype=getattr(torch, dtype), attn_implementation="sdpa"
        )
        processor = AutoProcessor.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise UsageError(f"model {source}: cannot be loaded ({error}). Give a directory or a hub id.") from error
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model, processor


def spread(pairs: Sequence[Pair], count: int = PROBE_PAIRS) -> list[Pair]:
    """At most ``count`` pairs at equal distances."""
    return [pairs[i * len(pairs) // min(count, len(pairs))] for i in range(min(count, len(pairs)))]


def data_columns(objective: Objective, pairs: Sequence[Pair]) -> dict[str, Tensor]:
    """The data columns the objective needs, float64 [N] each. Raises UsageError naming a pair that lacks one."""
    names = sorted(need.partition(":")[2] for need in objective.needs if need.startswith("column:"))
    columns = {}
    for name in names:
        try:
            columns[name] = torch.tensor([float(pair.columns[name]) for pair in pairs], dtype=torch.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"aligner {objective.name} needs a number in the data column {name!r} ({error}).") from error
    return columns


def _check_needs(objective: Objective, hardness: HardnessConfig | None) -> bool:
    """Whether hardness is needed. Raises UsageError for a need that cannot be met, before anything is loaded."""
    unmet = {need for need in objective.needs if need not in {"reference", "hardness"} and not need.startswith("column:")}
    if unmet:
        raise UsageError(f"aligner {objective.name} needs {', '.join(sorted(unmet))}, which this trainer does not compute.")
    if "hardness" in objective.needs and hardness is None:
        raise UsageError(f"aligner {objective.name} needs hardness: give the CLIP model (clip=...).")
    return "hardness" in objective.needs


def _hardness(
    pairs: PairSet, config: HardnessConfig, device: str, *, needed: bool
) -> tuple[Tensor | None, dict[str, Any]]:
    """Hardness delta of every pair, float64 [N], and its record. Where it is only shown, failing is a note."""
    from aligners.clip_hardness import compute_hardness

    try:
        found = compute_hardness(pairs.pairs, config, device)
    except HarnessError as error:
        if needed:
            raise
        return None, {"hardness": f"not computed: {error}"}
    return torch.tensor(found.delta, dtype=torch.float64), {"hardness": found.record}


def _dtype(config: AlignConfig, device: torch.device) -> str:
    if config.dtype != "auto":
        return config.dtype
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def _training_arguments(config: AlignConfig, out_dir: Path, steps: int) -> TrainingArguments:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    micro = min(config.micro_batch, config.batch_size // world)
    if micro < 1 or config.batch_size % (micro * world):
        raise UsageError(
            f"align: batch_size={config.batch_size} is not micro_batch={micro} times {world} processes times a whole "
            "number. Change batch_size or micro_batch."
        )
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    if on_cpu and config.device not in {"auto", "cpu"}:
        raise UsageError(f"align: device={config.device}: no such device here. Use auto or cpu.")
    args = TrainingArguments(
        output_dir=str(out_dir),
        use_cpu=on_cpu,
        bf16=config.dtype == "bfloat16" or (config.dtype == "auto" and not on_cpu and torch.cuda.is_bf16_supported()),
        seed=config.seed,
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=config.batch_size // (micro * world),
        learning_rate=config.lr,
        lr_scheduler_type=config.scheduler,
        warmup_steps=math.ceil(config.warmup * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        save_strategy="steps" if config.checkpoint_every else "no",
        save_steps=config.checkpoint_every or steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        report_to="none",
        disable_tqdm=True,
    )
    # One process drives one device: several are started with torchrun, never by DataParallel.
    args._n_gpu = min(1, args.n_gpu)
    return args
