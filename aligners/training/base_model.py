"""The model that an alignment starts from, made ready for training."""

from __future__ import annotations

import torch

from aligners.training.config import AlignConfig
from aligners.training.model_configs import check_source
from harness.models.loading import Loaded, load
from harness.protocols.progress import Progress, silent


def compute_dtype(config: AlignConfig, device: torch.device) -> str:
    """The type that is computed in, "float32" or "bfloat16"."""
    if config.dtype != "auto":
        return config.dtype
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"


def load_base(config: AlignConfig, device: torch.device, progress: Progress = silent) -> Loaded:
    """``config.model`` and its processor on ``device``, dropout off.

    Weights are float32, since small updates add up; bfloat16 under LoRA where bfloat16 is computed in.
    Raises UsageError if the model cannot be loaded.
    """
    check_source(config.model)
    half = config.lora_rank and compute_dtype(config, device) == "bfloat16"
    loaded = load(
        config.model,
        device=device,
        named=f"model {config.model}",
        dtype="bfloat16" if half else "float32",
        attention=config.attention,
        quantization=config.quantize,
        progress=progress,
    )
    for module in loaded.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    # FSDP wraps these classes; transformers also names those of towers that this model does not have, and FSDP stops.
    present = {type(module).__name__ for module in loaded.model.modules()}
    loaded.model._no_split_modules = sorted(present & set(loaded.model._no_split_modules or ()))
    return loaded
