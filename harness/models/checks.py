"""What must hold of weights that were loaded: all there, each in its place, none made up."""

from __future__ import annotations

import pickle
import re
from collections.abc import Collection, Mapping
from typing import Any

from safetensors import SafetensorError

from harness.errors import UsageError

SHOWN = 4
CANNOT_READ = (SafetensorError, pickle.UnpicklingError, EOFError, RuntimeError)
"""What a file of weights raises that is cut short, is a pointer of Git LFS, or is none."""
COMPUTED = re.compile(r"(^|\.)(position_ids|inv_freq|masked_bias)$")
"""Buffers that older checkpoints hold and models compute by themselves."""


def require_whole(info: Mapping[str, Any], what: str, *, allow_unused: bool = False) -> None:
    """Raise UsageError if a checkpoint left weights of its model at random numbers, or holds some that it has no use
    for (unless ``allow_unused``): the figures would be of another model. ``info``: transformers'
    ``output_loading_info``.
    """
    unused = [name for name in info["unexpected_keys"] if not COMPUTED.search(name)]
    mismatched = [name if isinstance(name, str) else name[0] for name in info["mismatched_keys"]]
    faults = {
        "missing, so that they would be random numbers": info["missing_keys"],
        "of another shape than its config.json says": mismatched,
        "unknown to this model type, so that they would be left out": [] if allow_unused else unused,
    }
    said = [f"{_named(names)} {fault}" for fault, names in faults.items() if names]
    if said:
        remedy = "Give a complete checkpoint of its own model type"
        if len(said) == 1 and unused and not allow_unused:
            remedy += ", or leave them out with --set model.unused_weights=allow"
        raise UsageError(f"{what} is not whole: {'; '.join(said)}. {remedy}.")


def require_adapter(
    missing: Collection[str],
    unexpected: Collection[str],
    state: Mapping[str, Any],
    what: str,
    scaling: Collection[float] = (),
) -> None:
    """Raise UsageError if an adapter's weights are not those that the model has a place for, or change nothing.

    ``state``: the adapter's tensors as they were loaded; ``scaling``: what its products of matrices are multiplied by.
    """
    faults = {"that this model has no place for": unexpected, "missing": missing}
    said = [f"{_named(names)} {fault}" for fault, names in faults.items() if names]
    if said:
        raise UsageError(
            f"{what} was made for another model: {'; '.join(said)}. Name the model it was trained on; one made with "
            "LLaVA's own repository is converted by: python cli.py import-model DIR"
        )
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise UsageError(f"{what} holds numbers that are not finite: its training failed.")
    second = [tensor for name, tensor in state.items() if "lora_B" in name or "lora_embedding_B" in name]
    others = [name for name in state if "lora_" not in name]
    zero = "every lora_B is zero" if not any(bool(tensor.any()) for tensor in second) else ""
    zero = zero or ("lora_alpha is 0" if scaling and not any(scaling) else "")
    if second and not others and zero:
        raise UsageError(f"{what} changes nothing ({zero}): it would be its base under another name.")


def _named(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:SHOWN])
    return f"{len(names)} weight{'s' * (len(names) > 1)} ({first}{', ...' if len(names) > SHOWN else ''})"
