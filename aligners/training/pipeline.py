"""Alignment from settings to a trained model: data, hardness, reference, training, result."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import broadcast_object_list
from torch import Tensor
from transformers import TrainingArguments

from aligners.objective import Objective
from aligners.pairs.data import Pair, PairSet
from aligners.pairs.encodable import encodable
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import Route
from aligners.pairs.report import described
from aligners.training.arguments import micro_batches, training_arguments
from aligners.training.base_model import base_prompts, compute_dtype, load_base
from aligners.training.checkpoints import remove_checkpoints, resumable_checkpoint
from aligners.training.config import AlignConfig
from aligners.training.lora import make_trainable
from aligners.training.model_card import write_card
from aligners.training.order import few_steps, training_order
from aligners.training.outcome import require_trained
from aligners.training.preference_data import PairStream, training_pairs
from aligners.training.preparation import Prepared, check_needs, encoder_of, hardness_of, prepare
from aligners.training.probes import Probes, spread
from aligners.training.replicas import all_take_part
from aligners.training.reporting import finished_trackers, tracker_callbacks, tracker_names
from aligners.training.sharding import one_engine
from aligners.training.start_model import start_of, start_weights
from aligners.training.starting import Start
from aligners.training.trainable import trained_parts
from aligners.training.trainer import PreferenceTrainer
from harness.models.adapters import merged
from harness.models.prompts import Prompts
from harness.models.settings import save_settings
from harness.models.sources import write_start
from harness.protocols.progress import Progress, silent
from harness.protocols.recorder import Recorder
from harness.util.distributed import rank_and_world_size
from harness.util.environment import environment
from harness.util.files import emptied, part_of, put_in_place, write_json

if TYPE_CHECKING:
    from aligners.pair_hardness.hardness import HardnessConfig


@dataclass(frozen=True)
class AlignResult:
    """A finished run: ``model_dir`` holds the model and its processor (LoRA: the adapter), ``record`` its origin."""

    model_dir: Path
    steps: int
    record: dict[str, Any]


@one_engine()
def align(
    config: AlignConfig,
    objective: Objective,
    recorder: Recorder,
    out_dir: Path,
    *,
    hardness: HardnessConfig | None,
    heldout: PairSet | None = None,
    name: str = "",
    resume: bool,
    probe: bool = False,
    progress: Progress = silent,
) -> AlignResult:
    """Train ``config.model`` on ``config.data`` with ``objective`` and write it to ``out_dir``/model.

    With ``resume`` it starts from the last complete checkpoint in ``out_dir``; a resumed run equals an uninterrupted
    one. Checkpoints stay until the caller has recorded the run as done (``remove_checkpoints``). ``hardness`` is
    computed for objectives that need it, and for others too (where it can be) to show the gaps of easy and hard pairs.
    ``heldout`` pairs are only measured. With ``probe`` a model that is not asked what it is trained on is refused.
    ``progress`` is called in every stage; the first process's trackers (``config.report_to``) call the run ``name``.
    Raises UsageError (settings), DataError (pairs), HarnessError (a loss or gradient that is not finite).
    """
    started, first = time.monotonic(), rank_and_world_size()[0] == 0
    progress = progress if first else silent
    check_needs(config, objective, hardness)
    _clear(out_dir, resume=resume)
    trackers = tracker_names(config.report_to if first else "none")
    sets = _pairs(config, heldout, objective.needs, progress)
    order = _order(sets["train"].pairs, config)
    args = training_arguments(config, out_dir, steps=len(order) // config.batch_size, name=name)
    loaded = load_base(config, args.device, progress)
    info: dict[str, Any] = {"trained": trained_parts(loaded.model, config)}
    encoder = encoder_of(loaded.prompts, config, objective, hardness, args.device)

    def begin(wrapped: Any) -> Start:
        ready = prepare(wrapped, encoder, config, objective, args, progress, probe=probe)
        return _start(config, objective, hardness, sets, ready, args, info, recorder)

    trainer = PreferenceTrainer(
        _trainable(loaded.model, config, sets["train"].pairs, args),
        args,
        objective=objective,
        stream=PairStream(sets["train"].pairs, order, encoder),
        encoder=encoder,
        begin=begin,
        half=compute_dtype(config, args.device) == "bfloat16",
        recorder=recorder,
        progress=progress,
        callbacks=tracker_callbacks(trackers, name or out_dir.name, resume=resume),
    )
    with finished_trackers(trackers):
        trained = _train(trainer, out_dir, resume=resume)
    record = {**dataclasses.asdict(config), **info, "objective": dataclasses.asdict(objective), **trained}
    record |= {"steps": args.max_steps, "seconds": time.monotonic() - started}
    if first:
        _save(trainer, loaded.prompts, out_dir, record, config)
        recorder.log_info(trained)
    return AlignResult(out_dir / "model", args.max_steps, record)


def _trainable(model: Any, config: AlignConfig, pairs: Sequence[Pair], args: TrainingArguments) -> Any:
    """``model`` with what is trained; ``args`` learn whether DDP must search for parameters that are left out."""
    made = make_trainable(model, config)
    if all_take_part(made, pairs):
        args.ddp_find_unused_parameters = False
    return made


def _order(pairs: Sequence[Pair], config: AlignConfig) -> list[int]:
    """The order of the run; a warning of the first process says where that makes few steps."""
    few = few_steps(len(pairs), batch_size=config.batch_size, epochs=config.epochs)
    if few and rank_and_world_size()[0] == 0:
        warnings.warn(f"{few}.", stacklevel=2)
    return training_order(
        pairs,
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        micro_batch=micro_batches(config)[0],
        share_images=config.share_images,
        group_lengths=config.group_lengths,
    )


def _clear(out_dir: Path, *, resume: bool) -> None:
    """Without ``resume`` no earlier checkpoint stays: the first process removes them before anything is computed."""
    if not resume and rank_and_world_size()[0] == 0:
        remove_checkpoints(out_dir)


def _pairs(
    config: AlignConfig, heldout: PairSet | None, needs: frozenset[str], progress: Progress
) -> dict[str, PairSet]:
    """The pairs by split, once it is known that this model can be trained with its template, and which with it.

    A warning of the first process says what was left out or is cut, before training begins.
    """
    encoder = Encoder(base_prompts(config), config.max_length)
    sets = {"train": training_pairs(config, progress, needs)}
    sets |= {"heldout": heldout} if heldout else {}
    checked = {
        name: encodable(each, encoder, skip_bad=config.skip_bad_rows, progress=progress) for name, each in sets.items()
    }
    for report in [each.report for each in checked.values()] if rank_and_world_size()[0] == 0 else ():
        if any(report[name] for name in ("dropped", "notes", "responses_cut")):
            warnings.warn(f"{report['source']}: " + "; ".join(described(report)), stacklevel=2)
    return checked


def _start(
    config: AlignConfig,
    objective: Objective,
    hardness: HardnessConfig | None,
    sets: Mapping[str, PairSet],
    ready: Prepared,
    args: TrainingArguments,
    info: dict[str, Any],
    recorder: Recorder,
) -> Start:
    """What is computed of the pairs before the first step; ``info`` gets the facts, and is recorded."""
    deltas, facts = hardness_of(sets, hardness, objective, args.device, ready.progress, config.workers)
    data, cached = ready.tables(objective, sets["train"].pairs, deltas.get("train"))
    probes = {split: ready.tables(objective, spread(each.pairs))[0] for split, each in sets.items()}
    route: Route = "images" if config.share_images else ready.route
    info.update(_facts(config, sets, ready, args, cached) | facts)
    _log_start(recorder, info, sets, deltas)
    return Start(data, Probes(probes, ready.encoder, config.probe_every), route)


def _facts(
    config: AlignConfig, sets: Mapping[str, PairSet], ready: Prepared, args: TrainingArguments, cached: bool
) -> dict[str, Any]:
    """What a record says of the data, the start, the route and the machine."""
    first = rank_and_world_size()[0] == 0
    return {
        **({"start_weights": start_weights(config, ready.progress)} if first else {}),
        **{
            "data" if split == "train" else f"{split}_data": {**each.report, "hash": each.content_hash}
            for split, each in sets.items()
        },
        **ready.facts,
        "device": str(args.device),
        "processes": args.world_size,
        "reference_cached": cached,
        "software": environment(),
    }


def _log_start(
    recorder: Recorder,
    info: Mapping[str, Any],
    sets: Mapping[str, PairSet],
    deltas: Mapping[str, Tensor],
) -> None:
    if rank_and_world_size()[0] > 0:
        return
    recorder.log_info(info)
    for split, values in deltas.items():
        recorder.log_hardness(split, {p.id: float(d) for p, d in zip(sets[split].pairs, values, strict=True)})


def _train(trainer: PreferenceTrainer, out_dir: Path, *, resume: bool) -> dict[str, Any]:
    """Train to the end, save the weights beside ``out_dir``/model and check them against the untrained ones.

    Returns what the record says of it, with the seconds of the steps and their probes, without what is prepared
    before; not of a run that resumed, of which these are a part.
    """
    first = trainer.is_world_process_zero()
    # One process decides, so that ranks never disagree about where they begin.
    checkpoint = broadcast_object_list([resumable_checkpoint(out_dir) if resume and first else None])[0]
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = {} if checkpoint else {"training_seconds": trainer.seconds}
    trainer.progress("saving", 0, 1)
    part = part_of(out_dir / "model")
    if first:
        emptied(part)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(part))
    require_trained(part, trainer.untrained, first=first, progress=trainer.progress)
    return {"two_passes": trainer.two_passes, **seconds}


def _save(
    trainer: PreferenceTrainer, prompts: Prompts, out_dir: Path, record: dict[str, Any], config: AlignConfig
) -> None:
    """Write what stands beside the weights: how they are asked, what an adapter lies on, merged model, card, record.

    ``out_dir``/model is there once all is written.
    """
    part = part_of(out_dir / "model")
    start = start_of(config)
    if config.lora_rank:
        below = start.adapters[:-1] if config.adapter_start == "continue" else start.adapters
        write_start(part, start.target, below, record["start_weights"][: 1 + len(below)])
    _save_prompts(prompts, part)
    write_card(part, record, trainer.curve)
    if config.merge:  # for engines that take no adapters
        whole = emptied(part_of(out_dir / "model-merged"))
        merged(trainer.model).save_pretrained(whole)
        _save_prompts(prompts, whole)
        put_in_place(whole, out_dir / "model-merged")
    put_in_place(part, out_dir / "model")
    write_json(out_dir / "record.json", record)
    trainer.progress("saving", 1, 1)


def _save_prompts(prompts: Prompts, folder: Path) -> None:
    """The processor, with the template that was trained, and the settings under which it was trained."""
    prompts.processor.save_pretrained(folder)
    save_settings(prompts.settings, folder)
