"""What an alignment will cost, before anything is loaded: pairs, tokens, steps, FLOPs, memory of a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aligners.objective import Objective
from aligners.pairs.corruption import kinds_of
from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.reference import kept_bytes
from aligners.pairs.report import described
from aligners.pairs.rows import OR_LEFT_OUT
from aligners.pairs.where import NoSuchRows
from aligners.training.config import AlignConfig
from aligners.training.disk import disk_facts
from aligners.training.model_configs import model_config
from aligners.training.order import few_steps, step_count
from aligners.training.preference_data import training_pairs
from aligners.training.probes import PROBE_PAIRS
from aligners.training.sizes import Parameters, parameters
from aligners.training.start_model import start_of, start_settings
from harness.errors import DataError, UsageError
from harness.models.processors import load_prompts
from harness.protocols.progress import Progress, silent
from harness.util.distributed import launched, rank_and_world_size

SAMPLE = 64
RLAIF_V = {"openbmb/RLAIF-V-Dataset": 83132}
LLAVA_ROWS = {"origin_split.model=LLaVA-v1.5-7B": 22000}
"""How many of them meet a condition, to the thousand that DAMA's paper says."""
NOMINAL_IMAGE, NOMINAL_PROMPT, NOMINAL_RESPONSE = 576, 40, 150


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a pair: prefix (``image`` of them the image's), both responses together, rows in the tower."""

    prefix: float
    image: float
    responses: float
    patches: float


def processes_of(config: AlignConfig) -> tuple[int, str]:
    """How many processes a run is planned for: torchrun's WORLD_SIZE; else 1, or 8 where the run is sharded."""
    if launched():
        return rank_and_world_size()[1], "as WORLD_SIZE says"
    return (1, "one process") if config.sharding == "none" else (8, "WORLD_SIZE is not set: a node of eight is assumed")


def estimate(
    config: AlignConfig, objective: Objective, progress: Progress = silent, *, heldout: bool = False
) -> dict[str, Any]:
    """The facts of a dry run. FLOPs are of the shared route; memory is a model of what is held, not a measurement.

    FLOPs a pair are those of the process that computes most, over the pairs that each process reads: the others wait
    for it. ``heldout``: there are held-out pairs, counted as many as can be probed.
    """
    base = start_of(config).target
    shapes, source = model_config(base, start_settings(config))
    processes, why = processes_of(config)
    notes = [f"model: {source}", f"processes: {why}"]
    pairs, lengths = _lengths(config, base, shapes, notes, progress)
    sizes = parameters(shapes, config)
    steps = step_count(pairs, batch_size=config.batch_size, epochs=config.epochs)
    notes += filter(None, [few_steps(pairs, batch_size=config.batch_size, epochs=config.epochs)])
    kept = _kept_share(config, objective, processes)
    flops = pair_flops(sizes, lengths, config, kept)
    probes = _probe_pairs(config, pairs, steps, processes, splits=1 + heldout) * first_pass(sizes, lengths, config)
    probed = probes / (steps * config.batch_size / processes)
    reference = _forward(sizes, lengths) if "reference" in objective.needs else 0.0
    tokens = lengths.prefix + lengths.responses
    return {
        "pairs": pairs,
        "tokens a pair": round(tokens, 1),
        "image tokens a pair": round(lengths.image, 1),
        "steps": steps,
        "passes a step": 1 if kept is None else 2,
        "parameters": sizes.total,
        "trainable parameters": sizes.trainable,
        "TFLOP a pair": round(flops / 1e12, 6),
        "TFLOP a pair, with its share of the probes": round((flops + probed) / 1e12, 6),
        "TFLOP of training": round(steps * config.batch_size * flops / 1e12, 6),
        "TFLOP of the reference cache (once)": round(pairs * reference / 1e12, 6),
        "MB of the reference cache on disk": round(_kept(objective, pairs, lengths) / 1e6, 3),
        "GB a GPU: weights, gradients, optimiser": round(_states(sizes, config, processes) / 1e9, 3),
        "GB a GPU: activations": round(_activations(sizes, lengths, config) / 1e9, 3),
        **disk_facts(sizes.total, sizes.trainable, config, steps),
        "processes": processes,
        "notes": "; ".join(notes),
    }


def _kept(objective: Objective, pairs: int, lengths: Lengths) -> float:
    """Bytes of the reference cache: both responses, and the chosen one again where images are corrupted."""
    if "reference" not in objective.needs:
        return 0.0
    corrupted = bool(kinds_of(objective.needs))
    return kept_bytes(pairs, lengths.responses * (1.5 if corrupted else 1.0))


def _kept_share(config: AlignConfig, objective: Objective, processes: int) -> float | None:
    """The share of its pairs that the busiest process runs in the second of two passes; None where one pass is taken.

    A pass without graph over all pairs comes first, then one over those that are kept, divided evenly; DeepSpeed takes
    every micro-batch, with a pair at least (aligners.training.whole_step).
    """
    each = config.batch_size / processes
    batches = math.ceil(each / min(config.micro_batch, max(1, each)))
    if not objective.needs_reward_gaps or batches == 1:
        return None
    least = batches if config.sharding in {"zero2", "zero3"} else 1
    return max(least, math.ceil(objective.kept_pairs(config.batch_size) / processes)) / each


def _probe_pairs(config: AlignConfig, pairs: int, steps: int, processes: int, splits: int) -> int:
    """Forwards of probe pairs on one process over the whole run: before the first step, when due, after the last."""
    every = config.probe_every or steps
    return (1 + math.ceil(steps / every)) * splits * math.ceil(min(PROBE_PAIRS, pairs) / processes)


def _forward(sizes: Parameters, lengths: Lengths) -> float:
    """FLOPs of one forward of a shared row: two a weight and token, and attention over the whole row.

    The last layer computes what follows the prompt, but for its keys and values (aligners.pairs.last_layer).
    """
    tokens = lengths.prefix + lengths.responses
    return (
        2 * sizes.language * tokens
        - 2 * sizes.last * (lengths.prefix - 1)
        + 4 * sizes.layers * sizes.hidden * tokens**2
        + 2 * sizes.head * lengths.responses
        + 2 * sizes.vision * lengths.patches
    )


def pair_flops(sizes: Parameters, lengths: Lengths, config: AlignConfig, kept: float | None = None) -> float:
    """FLOPs of a pair in training; ``kept``: the share of pairs in the second of two passes, None for one pass.

    The backward costs two forwards, one where only adapters are trained; checkpointing adds one. The frozen tower has
    no backward.
    """
    tower = 2 * sizes.vision * lengths.patches
    decoder = _forward(sizes, lengths) - tower
    adapters = _adapters(sizes, lengths, config)
    backward = (decoder + 2 * adapters) if config.lora_rank else 2 * decoder
    again = decoder + adapters if config.gradient_checkpointing else 0.0
    one = decoder + adapters + tower + backward + again
    if config.train_vision:
        one += 2 * tower
    return one if kept is None else first_pass(sizes, lengths, config) + kept * one


def first_pass(sizes: Parameters, lengths: Lengths, config: AlignConfig) -> float:
    """FLOPs of a pair in a forward of the model as it is trained, without a graph."""
    return _forward(sizes, lengths) + _adapters(sizes, lengths, config)


def _adapters(sizes: Parameters, lengths: Lengths, config: AlignConfig) -> float:
    return 2 * sizes.trainable * (lengths.prefix + lengths.responses) if config.lora_rank else 0.0


def _states(sizes: Parameters, config: AlignConfig, processes: int) -> float:
    """Bytes of weights, gradients and AdamW's moments: float32 for what is trained, bfloat16 (or 4 bits) for a frozen
    base under LoRA."""
    if config.lora_rank:
        weight = {"none": 2.0, "4bit": 0.55}[config.quantize] if config.dtype != "float32" else 4.0
        held, states = sizes.total * weight + 4 * sizes.trainable, 12 * sizes.trainable
    else:
        held, states = 4 * sizes.total, 12 * sizes.trainable
    if config.sharding in {"fsdp", "zero3"}:
        return (held + states) / processes
    if config.sharding == "zero2":
        return held + states / processes
    return held + states


def _activations(sizes: Parameters, lengths: Lengths, config: AlignConfig) -> float:
    """Bytes kept for the backward of one micro-batch: about 16 hidden and 6 intermediate vectors a token and layer."""
    width = 4 if config.dtype == "float32" else 2
    tokens = config.micro_batch * (lengths.prefix + lengths.responses)
    layer = tokens * (16 * sizes.hidden + 6 * sizes.intermediate) * width
    logits = config.micro_batch * lengths.responses * sizes.vocabulary * (width + 8)
    if config.gradient_checkpointing:
        return layer + sizes.layers * tokens * sizes.hidden * width + logits
    return sizes.layers * layer + logits


def _lengths(config: AlignConfig, base: str, shapes: Any, notes: list[str], progress: Progress) -> tuple[int, Lengths]:
    """How many pairs, and their lengths: of a sample of the user's pairs where data and processor can be read."""
    merge = getattr(shapes.vision_config, "spatial_merge_size", 0) ** 2
    nominal = getattr(shapes, "image_seq_length", None) or NOMINAL_IMAGE
    patches = nominal * merge if merge else nominal + 1
    guess = Lengths(nominal + NOMINAL_PROMPT, nominal, 2 * NOMINAL_RESPONSE, patches)
    try:
        data = training_pairs(config, progress)
    except DataError as error:
        if config.data not in RLAIF_V or isinstance(error, NoSuchRows):
            raise
        notes.append(
            f"data not reached ({type(error.__cause__ or error).__name__}): counts and lengths are nominal, "
            f"{nominal} image, {NOMINAL_PROMPT} prompt and 2 x {NOMINAL_RESPONSE} response tokens"
        )
        if uncounted := [each for each in config.where if each not in LLAVA_ROWS]:
            notes.append(f"how many rows match {' and '.join(uncounted)} is not known: all are counted")
        rows = min([RLAIF_V[config.data], *(LLAVA_ROWS[each] for each in config.where if each in LLAVA_ROWS)])
        return min(config.limit or rows, rows), guess
    pairs = data.pairs
    notes.append("data: " + "; ".join(described(data.report)))
    try:
        prompts = load_prompts(base, shapes, start_settings(config))
    except (OSError, ValueError) as error:
        notes.append(f"processor not reached ({type(error).__name__}): lengths are nominal")
        return len(pairs), guess
    every = max(1, len(pairs) // SAMPLE)
    encode = Encoder(prompts, config.max_length)
    sample = list(_encoded(pairs[::every][:SAMPLE], encode, skip_bad=config.skip_bad_rows))
    cut = sum(bool(pair.cut) for pair in sample)
    notes.append(
        f"lengths: mean of {len(sample)} of the pairs" + (f", {cut} with a response cut at max_length" if cut else "")
    )
    return len(pairs), _measured(sample, shapes, patches / max(nominal, 1))


def _encoded(pairs: Sequence[Pair], encode: Encoder, *, skip_bad: bool) -> Iterator[Encoded]:
    for index, pair in enumerate(pairs):
        try:
            yield encode(index, pair)
        except DataError as error:
            if not skip_bad:
                raise DataError(f"{str(error).rstrip('. ')}. {OR_LEFT_OUT}") from error


def _measured(sample: Sequence[Encoded], shapes: Any, patches_a_token: float) -> Lengths:
    token = getattr(shapes, "image_token_id", None)
    if token is None:
        raise UsageError(f"model type {shapes.model_type}: its configuration names no image_token_id.")
    if not sample:
        raise DataError("none of the pairs that were tried can be put to the model.")
    image = sum(int((pair.prefix == token).sum()) for pair in sample) / len(sample)
    prefix = sum(len(pair.prefix) for pair in sample) / len(sample)
    responses = sum(len(pair.chosen) + len(pair.rejected) for pair in sample) / len(sample)
    return Lengths(prefix, image, responses, image * patches_a_token)
