"""The probe at the start of a training: the model that is to be trained answers a question as `bench` will ask it."""

from __future__ import annotations

import warnings
from typing import Any

from aligners.pairs.probing import encoded
from harness.models.batching import choose_layout
from harness.models.hf import HfModel
from harness.models.loading import Loaded
from harness.util.distributed import rank_and_world_size


def probe_start(loaded: Loaded, named: str) -> dict[str, Any]:
    """The record of a probe of ``loaded``; what is worth a word is a warning of the first process.

    Raises UsageError, in every process, for a model that ``named`` names and that would not be asked as it is trained.
    """
    tokenizer = loaded.processor.tokenizer
    side = tokenizer.padding_side  # of the processor that is saved with the trained model
    layout = choose_layout(loaded.model, loaded.prompts)
    model = HfModel(loaded.model, loaded.prompts, name=named, spec=named, identity="", layout=layout)
    try:
        found = model.probe(encoded)
    finally:
        tokenizer.padding_side = side
    found.require(named)
    if rank_and_world_size()[0] == 0:
        for text in found.of_state("warning"):
            warnings.warn(f"{named}: {text}", stacklevel=2)
    return found.record
