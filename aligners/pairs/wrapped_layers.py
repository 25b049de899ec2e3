"""Layers that FSDP wraps for activation checkpointing: found, and named, as they are without their wrappers.

Tensors of a state have the plain names, modules have not: what looks for modules by name would miss those inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import ActivationWrapper


def bare(layer: nn.Module) -> nn.Module:
    """``layer`` itself, out of its wrappers."""
    while isinstance(layer, ActivationWrapper):
        layer = layer._checkpoint_wrapped_module
    return layer


@contextlib.contextmanager
def plain_names(model: Any) -> Iterator[None]:
    """While it lasts the modules of ``model`` have the names they have without wrappers; no forward may run then."""
    wrapped = [(name, module) for name, module in model.named_modules() if isinstance(module, ActivationWrapper)]
    for name, module in reversed(wrapped):  # the innermost first: the names of those outside stay as they are
        model.set_submodule(name, module._checkpoint_wrapped_module)
    try:
        yield
    finally:
        for name, module in wrapped:
            model.set_submodule(name, module)
