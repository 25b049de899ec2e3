"""The probe at the start of a training: the model that is to be trained answers a question as `bench` will ask it."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.distributed.fsdp import FSDPModule

from aligners.pairs.forward import stock_model
from aligners.pairs.probing import encoded
from harness.models.batching import Padded, choose_layout
from harness.models.hf import HfModel
from harness.models.prompts import Prompts
from harness.util.distributed import rank_and_world_size


def probe_start(wrapped: Any, prompts: Prompts, named: str) -> dict[str, Any]:
    """The record of a probe of the model as it is ``wrapped`` for training.

    What is worth a word is a warning of the first process.
    Raises UsageError, in every process, for a model that ``named`` names and that would not be asked as it is trained.
    """
    tokenizer = prompts.processor.tokenizer
    side = tokenizer.padding_side  # of the processor that is saved with the trained model
    sharded = isinstance(wrapped, FSDPModule)  # gathers its weights in calls of the whole model alone
    network = wrapped if sharded else stock_model(wrapped)
    layout = Padded(network, prompts) if sharded else choose_layout(network, prompts)
    model = HfModel(network, prompts, name=named, spec=named, identity="", layout=layout)
    try:
        with _outside_inference_mode(network) if sharded else contextlib.nullcontext():
            found = model.probe(encoded)
    finally:
        tokenizer.padding_side = side
    found.require(named)
    if rank_and_world_size()[0] == 0:
        for text in found.of_state("warning"):
            warnings.warn(f"{named}: {text}", stacklevel=2)
    return found.record


@contextlib.contextmanager
def _outside_inference_mode(network: Any) -> Iterator[None]:
    """While it lasts, ``network`` generates without inference mode, whose tensors FSDP could not train with later."""
    own, generate = vars(network).get("generate"), network.generate

    def generating(**inputs: Any) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            return generate(**inputs)

    network.generate = generating
    try:
        yield
    finally:
        del network.generate
        if own is not None:
            network.generate = own
