"""Alignment from settings to a trained model: data, hardness, reference, training, result."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import DistributedType
from torch import Tensor
from transformers import TrainingArguments

from aligners.objective import Objective
from aligners.pairs.corruption import PREFIX, corruption_for
from aligners.pairs.data import Pair, PairSet, load_pairs
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import Route, choose_route
from aligners.pairs.reference import ReferenceModel
from aligners.training.base_model import compute_dtype, load_base
from aligners.training.config import AlignConfig
from aligners.training.lora import make_trainable
from aligners.training.model_card import write_card
from aligners.training.trainer import PreferenceData, PreferenceTrainer, last_checkpoint, training_order
from harness.errors import HarnessError, UsageError
from harness.models.loading import Loaded
from harness.models.prompts import prompt_text
from harness.protocols.recorder import Recorder
from harness.util.distributed import rank_and_world_size
from harness.util.environment import environment
from recipes import RECIPES

if TYPE_CHECKING:
    from aligners.pair_hardness.hardness import HardnessConfig

PROBE_PAIRS = 60
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class AlignResult:
    """A finished run: ``model_dir`` holds the model and its processor (LoRA: the adapter), ``record`` its origin."""

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
    _check_needs(objective, hardness)
    train_set = load_pairs(config.data, config.limit, skip_bad=config.skip_bad_rows)
    sets = {"train": train_set, **({"heldout": heldout} if heldout else {})}
    order = training_order(train_set.pairs, batch_size=config.batch_size, epochs=config.epochs, seed=config.seed)
    args = _training_arguments(config, out_dir, steps=len(order) // config.batch_size)
    ready = _prepare(config, objective, hardness, args)
    deltas, facts = _hardness(sets, hardness, args.device, needed="hardness" in objective.needs)
    data, cached = _tables(objective, train_set.pairs, ready.reference, deltas.get("train"))
    probes = {split: _tables(objective, spread(each.pairs), ready.reference, None)[0] for split, each in sets.items()}
    info = {
        "data": {**train_set.report, "hash": train_set.content_hash},
        "prompt": prompt_text(ready.loaded.processor, "{question}"),
        "prompt_template": "fallback" if ready.loaded.fallback else "processor",
        "route": ready.why,
        "dtype": ready.dtype,
        "device": str(args.device),
        "processes": args.world_size,
        "reference_cached": cached,
        "software": environment(),
        **facts,
    }
    if args.process_index == 0:
        recorder.log_info(info)
        for split, values in deltas.items():
            recorder.log_hardness(split, {p.id: float(d) for p, d in zip(sets[split].pairs, values, strict=True)})
    trainer = PreferenceTrainer(
        make_trainable(ready.loaded.model, config),
        args,
        objective=objective,
        data=data,
        order=order,
        encoder=ready.encoder,
        route=ready.route,
        recorder=recorder,
        probes=probes,
        probe_every=config.probe_every,
        progress=progress,
    )
    _train(trainer, out_dir, resume=resume)
    record = {**dataclasses.asdict(config), **info, "objective": dataclasses.asdict(objective)}
    record |= {"two_passes": trainer.two_passes, "steps": args.max_steps, "seconds": time.monotonic() - started}
    if args.process_index == 0:
        _save(trainer, ready.loaded.processor, out_dir, record, merge=config.merge)
        recorder.log_info({"two_passes": trainer.two_passes})
    return AlignResult(out_dir / "model", args.max_steps, record)


@dataclass(frozen=True)
class _Ready:
    """The model before it is made trainable, and what its pairs are run with; ``why`` says how ``route`` was chosen."""

    loaded: Loaded
    dtype: str
    route: Route
    why: str
    encoder: Encoder
    reference: ReferenceModel | None


def _prepare(
    config: AlignConfig, objective: Objective, hardness: HardnessConfig | None, args: TrainingArguments
) -> _Ready:
    """Load the model and processor; the reference is None for an objective that needs none."""
    dtype = compute_dtype(config, args.device)
    loaded = load_base(config, args.device)
    model, processor = loaded.model, loaded.processor
    route, why = choose_route(model, config.route)
    corruption = corruption_for(objective.needs, hardness.clip if hardness else None, args.device)
    encoder = Encoder(processor, config.max_length, corruption)
    reference = None
    if "reference" in objective.needs:
        reference = ReferenceModel(
            model,
            encoder,
            route=route,
            dtype=dtype,
            device=args.device,
            micro_batch=2 * args.per_device_train_batch_size,
        )
    return _Ready(loaded, dtype, route, why, encoder, reference)


def _save(trainer: PreferenceTrainer, processor: Any, out_dir: Path, record: dict[str, Any], *, merge: bool) -> None:
    """Write what stands beside the trained weights: processor, merged model on request, card and record."""
    processor.save_pretrained(out_dir / "model")
    if merge:
        _merge(trainer.model, processor, out_dir / "model-merged")
    write_card(out_dir / "model", record, trainer.curve)
    (out_dir / "record.json").write_text(json.dumps(record, indent=2, default=str))


def _train(trainer: PreferenceTrainer, out_dir: Path, *, resume: bool) -> None:
    """Train to the end and save the model. Checkpoints are removed only then, or where none is to be resumed from."""
    if not resume:
        _remove_checkpoints(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = last_checkpoint(out_dir) if resume else None
    if checkpoint is not None:
        trainer.restore(checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model(str(out_dir / "model"))
    if trainer.is_world_process_zero():
        _remove_checkpoints(out_dir)


def _merge(adapted: Any, processor: Any, folder: Path) -> None:
    """Write the base with the adapter merged into it, for engines that take no adapters."""
    adapted.merge_and_unload().save_pretrained(folder)
    processor.save_pretrained(folder)


def _remove_checkpoints(out_dir: Path) -> None:
    for old in out_dir.glob("checkpoint-*"):
        shutil.rmtree(old, ignore_errors=True)  # another process may be removing it too


def _tables(
    objective: Objective, pairs: Sequence[Pair], reference: ReferenceModel | None, delta: Tensor | None
) -> tuple[PreferenceData, bool]:
    """What the objective needs to know of ``pairs``, and whether their reference came from the cache."""
    columns = data_columns(objective, pairs)
    found, cached = reference.logprobs(pairs) if reference else (None, False)
    mean = float(delta.mean()) if delta is not None else 0.0
    return PreferenceData(pairs, found.sums if found else None, delta, mean, columns), cached


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
            raise UsageError(
                f"aligner {objective.name} needs a number in the data column {name!r} ({error})."
            ) from error
    return columns


def _check_needs(objective: Objective, hardness: HardnessConfig | None) -> None:
    """Raises UsageError for a need that cannot be met, before anything is loaded."""
    known = ("column:", PREFIX)
    unmet = {need for need in objective.needs - {"reference", "hardness"} if not need.startswith(known)}
    if unmet:
        raise UsageError(
            f"aligner {objective.name} needs {', '.join(sorted(unmet))}, which this trainer does not compute."
        )
    if "hardness" in objective.needs and hardness is None:
        raise UsageError(f"aligner {objective.name} needs hardness: give the CLIP model (clip=...).")


def _hardness(
    sets: Mapping[str, PairSet], config: HardnessConfig | None, device: torch.device, *, needed: bool
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Hardness deltas by split, float64 [N], and their record. Where they are only shown, failing is a note."""
    from aligners.pair_hardness.hardness import compute_hardness

    if config is None:
        return {}, {}
    try:
        found = {split: compute_hardness(each.pairs, config, device) for split, each in sets.items()}
    except HarnessError as error:
        if needed:
            raise
        return {}, {"hardness": f"not computed: {error}"}
    deltas = {split: torch.tensor(each.delta, dtype=torch.float64) for split, each in found.items()}
    return deltas, {"hardness": found["train"].record}


def _sharding(config: AlignConfig) -> dict[str, Any]:
    """Trainer's settings for ``config.sharding``. FSDP checkpoints activations itself."""
    if config.sharding == "none":
        return {"activation_checkpointing": config.gradient_checkpointing}
    if config.sharding == "fsdp":
        return {
            "fsdp": True,
            "fsdp_config": {"version": 2, "activation_checkpointing": config.gradient_checkpointing},
        }
    if importlib.util.find_spec("deepspeed") is None:
        raise UsageError(
            f"align: sharding={config.sharding} needs DeepSpeed: pip install deepspeed, or set sharding=fsdp."
        )
    file = RECIPES / f"deepspeed_{config.sharding}.json"
    return {"activation_checkpointing": config.gradient_checkpointing, "deepspeed": json.loads(file.read_text())}


def _allow_fsdp_on_cpu(args: TrainingArguments) -> None:
    """accelerate falls back to DDP, without a word, where all processes are on CPUs, although FSDP2 runs on gloo."""
    state = args.distributed_state
    if state is not None and state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type = DistributedType.MULTI_GPU


def _training_arguments(config: AlignConfig, out_dir: Path, steps: int) -> TrainingArguments:
    _, world = rank_and_world_size()
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
        save_strategy="steps" if config.checkpoint_every else "no",
        save_steps=config.checkpoint_every or steps,
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_num_workers=config.workers,
        report_to="none",
        disable_tqdm=True,
        **_sharding(config),
    )
    if config.sharding == "fsdp":
        _allow_fsdp_on_cpu(args)
    # One process drives one device: several are started with torchrun, never by DataParallel.
    args._n_gpu = min(1, args.n_gpu)
    return args
