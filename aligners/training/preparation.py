"""What must be there before the first step: probe, route, hardness, reference log-probabilities.

All that the model computes goes through the model as it is wrapped for training, before its first step: there the
policy is the reference, with the same numerics, and a sharded model is whole nowhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainingArguments

from aligners.objective import Objective
from aligners.pairs.corruption import PREFIX, corruption_for
from aligners.pairs.data import Pair, PairSet
from aligners.pairs.encoding import Encoder
from aligners.pairs.forward import Route, stock_model
from aligners.pairs.kept import GIGABYTE, KeepingEncoder
from aligners.pairs.reference import ReferenceModel
from aligners.pairs.route import choose_route, fit_attention, require_shared_images
from aligners.training.base_model import compute_dtype, require_shardable
from aligners.training.config import AlignConfig
from aligners.training.model_configs import model_config
from aligners.training.preference_data import PreferenceData, data_columns
from aligners.training.sharding import without_ddp
from aligners.training.start_model import start_identity, start_of, start_settings
from aligners.training.start_probe import probe_start
from aligners.training.trainable import require_trainable
from harness.errors import HarnessError, UsageError
from harness.models.processors import FALLBACK
from harness.models.prompts import Prompts
from harness.models.settings import changed
from harness.protocols.conversation import Image, question
from harness.protocols.progress import Progress
from harness.util.distributed import rank_and_world_size

if TYPE_CHECKING:
    from aligners.pair_hardness.hardness import HardnessConfig


def check_needs(config: AlignConfig, objective: Objective, hardness: HardnessConfig | None) -> None:
    """Raises UsageError for a need that cannot be met and a model that cannot be trained, before anything is loaded."""
    known = ("column:", PREFIX)
    unmet = {need for need in objective.needs - {"reference", "hardness"} if not need.startswith(known)}
    if unmet:
        raise UsageError(
            f"aligner {objective.name} needs {', '.join(sorted(unmet))}, which this trainer does not compute."
        )
    if "hardness" in objective.needs and hardness is None:
        raise UsageError(f"aligner {objective.name} needs hardness: give the CLIP model (clip=...).")
    require_shardable(config)
    require_trainable(model_config(start_of(config).target, start_settings(config))[0], config)


@dataclass(frozen=True)
class Prepared:
    """What the pairs of a wrapped model are run with; ``why`` says how ``route`` was chosen.

    ``reference`` is None for an objective that needs none, ``probe`` where the model was not probed.
    """

    prompts: Prompts
    dtype: str
    route: Route
    why: str
    encoder: Encoder
    reference: ReferenceModel | None
    progress: Progress
    probe: Mapping[str, Any] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the run's record says of it."""
        form = self.prompts.form([question("{question}", Image())])
        return {
            "prompt": form.prompt,
            "answer": form.lead + "{answer}" + form.end,
            "prompt_template": "fallback" if FALLBACK in self.prompts.note else "processor",
            "prompt_settings": changed(self.prompts.settings),
            "route": self.why,
            "dtype": self.dtype,
            **({} if self.probe is None else {"probe": self.probe}),
        }

    def tables(
        self, objective: Objective, pairs: Sequence[Pair], delta: Tensor | None = None
    ) -> tuple[PreferenceData, bool]:
        """What ``objective`` needs to know of ``pairs``, and whether their reference came from the cache."""
        columns = data_columns(objective, pairs)
        mean = float(delta.mean()) if delta is not None else 0.0
        if self.reference is None:
            return PreferenceData(pairs, None, delta, mean, columns), False
        reference, cached = self.reference.logprobs(pairs, self.progress)
        return PreferenceData(pairs, reference.sums, delta, mean, columns), cached


def encoder_of(
    prompts: Prompts, config: AlignConfig, objective: Objective, hardness: HardnessConfig | None, device: torch.device
) -> Encoder:
    """How pairs become tokens and pixels, corrupted ones too where ``objective`` needs them."""
    clip = hardness.clip if hardness else None
    corruption = corruption_for(objective.needs, objective.corruption_settings, clip, device)
    encoder = Encoder(prompts, config.max_length, corruption)
    return KeepingEncoder.of(encoder, config.keep_encoded * GIGABYTE / (1 + config.workers))


def prepare(
    wrapped: Any,
    encoder: Encoder,
    config: AlignConfig,
    objective: Objective,
    args: TrainingArguments,
    progress: Progress,
    *,
    probe: bool,
) -> Prepared:
    """Probe the model ``wrapped`` for training if asked to, choose how pairs are run, and make it the reference.

    Every process calls it before the first step and before a checkpoint is read.
    """
    dtype, prompts = compute_dtype(config, args.device), encoder.prompts
    probed = probe_start(wrapped, prompts, f"model {config.model}") if probe else None
    network = without_ddp(wrapped)
    half = dtype == "bfloat16"
    route, why = choose_route(network, prompts, config.route, config.max_length, half=half)
    if config.attention == "auto":
        why += fit_attention(network, route, half=half)
    if config.share_images:
        longest = 2 * config.max_length * args.per_device_train_batch_size
        why += "; " + require_shared_images(network, prompts, route, longest, half=half)
    reference = None
    if "reference" in objective.needs:
        reference = ReferenceModel(
            network,
            encoder,
            route=route,
            dtype=dtype,
            device=args.device,
            micro_batch=2 * args.per_device_train_batch_size,
            workers=config.workers,
            weights=start_identity(config, stock_model(wrapped), progress),
            numerics=numerics(config, dtype),
            prepared=True,
            progress=progress,
        )
    return Prepared(prompts, dtype, route, why, encoder, reference, progress, probed)


def numerics(config: AlignConfig, dtype: str) -> str:
    """What, beside the type computed in, makes the last digits of log-probabilities; "" for a whole float32 model."""
    weights = "bfloat16 weights" if config.lora_rank and dtype == "bfloat16" else ""
    quantized = config.quantize if config.quantize != "none" else ""
    sharding: str = config.sharding if config.sharding != "none" else ""
    if weights and sharding == "zero3":
        sharding = "zero3 in bfloat16"  # "zero3" alone: values stored when its weights were float32 all the same
    return ", ".join(filter(None, (weights, quantized, sharding)))


def hardness_of(
    sets: Mapping[str, PairSet],
    config: HardnessConfig | None,
    objective: Objective,
    device: torch.device,
    progress: Progress,
    workers: int = 0,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Hardness deltas by split, float64 [N], and their record.

    Where ``objective`` needs none they are for charts alone: no CLIP is downloaded, and failing is a warning.
    """
    from aligners.pair_hardness.clip_files import is_local
    from aligners.pair_hardness.hardness import compute_hardness, loaded_clip

    if config is None:
        return {}, {}
    needed = "hardness" in objective.needs
    try:
        if not needed and not is_local(config.clip):
            raise HarnessError(
                f"CLIP {config.clip} is not on this machine, and {objective.name} trains without it. To have them: "
                "--set clip=local-dir:DIR, or align with hardness or dama first, which download it."
            )
        clip = loaded_clip(config, device, progress)
        computed = {
            split: compute_hardness(each.pairs, config, device, progress, workers=workers, clip=clip)
            for split, each in sets.items()
        }
    except HarnessError as error:
        if needed:
            raise
        if rank_and_world_size()[0] == 0:
            warnings.warn(f"the charts of hardness are left out: {error}", stacklevel=1)
        return {}, {"hardness": f"not computed: {error}"}
    deltas = {split: torch.tensor(each.delta, dtype=torch.float64) for split, each in computed.items()}
    return deltas, {"hardness": computed["train"].record}
