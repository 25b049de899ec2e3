"""What a run starts from: the model of its settings, and what its weights are called. Imports no transformers."""

from __future__ import annotations

from typing import Any

from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.models.origin import at_revision
from harness.models.settings import LoadSettings
from harness.models.sources import composition
from harness.models.spec import ModelSpec
from harness.models.weights import files_identity, weights_identity
from harness.protocols.progress import Progress, silent
from harness.util.distributed import rank_and_world_size


def start_of(config: AlignConfig) -> ModelSpec:
    """The base model that training starts from, with the adapters on it.

    Raises UsageError where it can be no model to train: neither a directory nor a hub id, or adapters that are none.
    """
    start = ModelSpec("hf", *composition(config.model))
    if config.adapter_start == "continue" and not start.adapters:
        raise UsageError(
            f"align: adapter_start=continue: {config.model} is no adapter; give BASE+ADAPTER or leave it out."
        )
    return start


def start_settings(config: AlignConfig) -> LoadSettings:
    """How the start of a run is loaded: as the user says; a hub model in the revision that its adapters belong to."""
    start = start_of(config)
    return at_revision(config.prompt, start.target, start.adapters)


def start_weights(config: AlignConfig, progress: Progress = silent) -> list[str]:
    """The hashes of the weights that training starts from, the base's first; "" for a hub model (commits say it)."""
    start = start_of(config)
    return [weights_identity(part, progress) for part in (start.target, *start.adapters)]


def start_identity(config: AlignConfig, model: Any, progress: Progress = silent) -> str:
    """What names the weights that training starts from, by their files; the first process reads them.

    ``model`` is a transformers model, which knows the commit of a hub model.
    """
    from accelerate.utils import broadcast_object_list

    start, first = start_of(config), rank_and_world_size()[0] == 0
    parts = [files_identity(part, model, progress) for part in (start.target, *start.adapters)] if first else []
    identity: str = broadcast_object_list(["+".join(parts)])[0]
    return identity
