"""The model that an alignment starts from, made ready for training."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import torch

from aligners.training.config import AlignConfig
from aligners.training.lora import require_same_shape
from aligners.training.sharding import made_in, save_as_loaded
from aligners.training.start_model import start_of, start_settings
from harness.errors import UsageError
from harness.models.adapters import trained_further
from harness.models.loading import Loaded, load, require_whole_files
from harness.models.origin import require_start
from harness.models.processors import prompts_of
from harness.models.prompts import Prompts
from harness.protocols.progress import Progress, silent

RANDOM = re.compile(r"dropout|drop_prob|drop_path|jitter")
"""In the names of rates that layers of transformers read while they are trained."""


def compute_dtype(config: AlignConfig, device: torch.device) -> str:
    """The type that is computed in, "float32" or "bfloat16"."""
    if config.dtype != "auto":
        return config.dtype
    in_hardware = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if in_hardware else "float32"


def base_prompts(config: AlignConfig) -> Prompts:
    """How ``config.model`` is asked, from its processor; reads no weights.

    Raises UsageError where it cannot be had, and for a template with which no answer can be trained.
    """
    start = start_of(config)
    last = start.adapters[-1] if start.adapters else ""
    prompts = prompts_of(start.target, start_settings(config), adapter=last, named=f"model {config.model}")
    try:
        prompts.check(training=True)
    except UsageError as error:
        raise UsageError(f"model {config.model}: {error}") from error
    return prompts


def require_shardable(config: AlignConfig) -> None:
    """Raise UsageError for a start that ZeRO-3 cannot spread as it is read: with adapters, or not whole.

    It comes before DeepSpeed does, whose way of loading says nothing of weights that the files lack.
    """
    if config.sharding != "zero3":
        return
    start = start_of(config)
    if start.adapters:
        raise UsageError(
            f"model {config.model}: sharding=zero3 starts from weights without adapters: merge them first (python "
            "cli.py export-model RUN --merge), or set sharding=fsdp or zero2."
        )
    require_whole_files(start.target, start_settings(config))


def load_base(config: AlignConfig, device: torch.device, progress: Progress = silent) -> Loaded:
    """``config.model``, adapters included, and its processor on ``device``, dropout off: the start and the reference.

    Weights are float32, since small updates add up; bfloat16 under LoRA where bfloat16 is computed in. Adapters are
    added to float32 weights and stay beside others, as `bench` loads them; one that is trained further is a PeftModel.
    Under FSDP it stays on the CPU until it is spread over the processes, of which the first alone has weights.
    Raises UsageError if the model cannot be loaded.
    """
    start, dtype = start_of(config), compute_dtype(config, device)
    device = torch.device("cpu") if config.sharding == "fsdp" and config.quantize == "none" else device
    weights = "bfloat16" if config.lora_rank and dtype == "bfloat16" else "float32"
    further = start.adapters[-1:] if config.adapter_start == "continue" else ()
    named = f"model {config.model}"
    with made_in(weights, config):
        loaded = load(
            start.target,
            device=device,
            named=named,
            dtype=weights,
            attention="sdpa" if config.attention == "auto" else config.attention,
            quantization=config.quantize,
            adapters=start.adapters[: len(start.adapters) - len(further)],
            settings=start_settings(config),
            progress=progress,
        )
    save_as_loaded(loaded.model)
    for adapter in further:
        require_start(start.target, start.adapters, named, progress)
        model = trained_further(loaded.model, adapter, named).eval()
        loaded = dataclasses.replace(loaded, model=model, prompts=base_prompts(config))
        require_same_shape(loaded.model, config)
    leave_nothing_to_chance(loaded.model)
    # FSDP wraps these classes; transformers also names those of towers that this model does not have, and FSDP stops.
    present = {type(module).__name__ for module in loaded.model.modules()}
    loaded.model._no_split_modules = sorted(present & set(loaded.model._no_split_modules or ()))
    return loaded


def leave_nothing_to_chance(model: Any) -> None:
    """Switch off what is random in training: modules of dropout, and the rates that other layers keep of their own.

    A policy that is computed at random does not start at the reference, nor give the same gaps in both passes.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if isinstance(value, float) and RANDOM.search(name):
                setattr(module, name, 0.0)
