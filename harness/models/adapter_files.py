"""Adapters as files: several LoRA adapters that lie on one another written as one, without loading their model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from harness.errors import UsageError
from harness.models.adapters import present_name
from harness.models.model_files import ADAPTER_CONFIG, read_adapter_config
from harness.models.weights import tensors_of, weight_files
from harness.util.files import write_json

WEIGHTS = "adapter_model.safetensors"
LARGEST = 1e6
"""Ranks and scales are below a thousand."""
NOT_ADDED = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias", "trainable_token_indices")
"""Settings of peft under which an adapter is more than one product of two matrices a layer."""


def write_as_one(adapters: Sequence[Path], base: str, folder: Path) -> None:
    """Write the sum of ``adapters`` of ``base`` to ``folder`` as one LoRA adapter, of the sum of their ranks: exact.

    Raises UsageError for adapters that are not plain LoRA.
    """
    down: dict[str, list[Tensor]] = {}
    up: dict[str, list[Tensor]] = {}
    for adapter in adapters:
        config = read_adapter_config(adapter)
        scale = scale_of(config, adapter)
        for module, (first, second) in _by_present_names(matrices(adapter), adapter).items():
            down.setdefault(module, []).append(first)
            up.setdefault(module, []).append(second * scale)
    ranks = {module: sum(len(part) for part in parts) for module, parts in down.items()}
    rank = max(ranks.values())
    own = {module: found for module, found in ranks.items() if found != rank}
    plain = read_adapter_config(adapters[-1])
    plain |= {"r": rank, "lora_alpha": rank, "use_rslora": False, "base_model_name_or_path": base}
    plain |= {"target_modules": sorted(ranks), "rank_pattern": own, "alpha_pattern": own, "inference_mode": True}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / ADAPTER_CONFIG, plain)
    state = {f"base_model.model.{module}.lora_A.weight": torch.cat(parts) for module, parts in down.items()}
    state |= {f"base_model.model.{module}.lora_B.weight": torch.cat(parts, 1) for module, parts in up.items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})


def scale_of(config: Mapping[str, Any], adapter: Path) -> float:
    """What the product of a LoRA adapter's matrices is multiplied by. Raises UsageError for what is not plain LoRA."""
    more = [name for name in NOT_ADDED if config.get(name)]
    if config.get("peft_type") != "LORA" or more:
        raise UsageError(
            f"{adapter} is no plain LoRA adapter ({', '.join(more) or config.get('peft_type')}), so it cannot be "
            "added by its matrices; merge it: --merge."
        )
    power = 0.5 if config.get("use_rslora") else 1.0
    alpha, rank = (config.get(name, 0) for name in ("lora_alpha", "r"))
    for number in (alpha, rank):
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < LARGEST:
            raise UsageError(f"{adapter}: expected numbers for r and lora_alpha, found {rank!r:.40}, {alpha!r:.40}.")
    return float(float(alpha) / float(rank) ** power)


def matrices(adapter: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """The matrices A [rank, in] and B [out, rank] of every module that a LoRA adapter changes, float32."""
    state = {name: tensor for file in weight_files(adapter) for name, tensor in tensors_of(file)}
    first = {name.partition(".lora_A")[0]: tensor.float() for name, tensor in state.items() if ".lora_A" in name}
    second = {name.partition(".lora_B")[0]: tensor.float() for name, tensor in state.items() if ".lora_B" in name}
    if not first or first.keys() != second.keys() or len(first) + len(second) != len(state):
        raise UsageError(f"{adapter}: expected a lora_A and a lora_B of every module and nothing else.")
    return {name.removeprefix("base_model.model."): (first[name], second[name]) for name in first}


def _by_present_names(parts: Mapping[str, tuple[Tensor, Tensor]], adapter: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """``parts`` by the names that transformers gives the modules now, so that those of all adapters are alike."""
    named = {present_name(module): both for module, both in parts.items()}
    if len(named) < len(parts):
        raise UsageError(
            f"{adapter} holds weights of one module under two names, so it cannot be added. Merge: --merge."
        )
    return named
