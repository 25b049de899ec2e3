"""What an adapter was trained on, kept with it and compared with what it is put on. Imports no torch."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.models.model_files import read_adapter_config
from harness.models.settings import LoadSettings
from harness.models.sources import start_weights, trained_on
from harness.models.weights import weights_identity
from harness.protocols.progress import Progress, silent


def at_revision(settings: LoadSettings, base: str, adapters: Sequence[str]) -> LoadSettings:
    """``settings`` with the revision of a hub model that its ``adapters`` belong to, unless the user names one."""
    if settings.revision or Path(base).is_dir():
        return settings
    return dataclasses.replace(settings, revision=trained_revision(base, adapters))


def trained_revision(base: str, adapters: Sequence[str]) -> str:
    """The revision of the hub model ``base`` that its last adapter was trained on; "" where none of them says."""
    said = [read_adapter_config(Path(adapter)) for adapter in adapters]
    known = [config.get("revision") for config in said if config.get("base_model_name_or_path") == base]
    return str(next(filter(None, reversed(known)), ""))


def require_start(base: str, adapters: Sequence[str], named: str, progress: Progress = silent) -> str:
    """Compare the weights of ``base`` and ``adapters`` with those that each adapter was trained on.

    Adapters of older versions and of other tools do not say; nothing is read for them.

    Raises UsageError where the weights were replaced at their place. A base that the user names from another place is
    a warning; returns what the record says then, "" where all is as trained.
    """
    for position, adapter in enumerate(adapters):
        names = [base, *adapters[:position]]
        pairs = list(zip(names, start_weights(Path(adapter)), strict=False))
        other = [name for name, was in pairs if was and weights_identity(name, progress) not in ("", was)]
        if not other:
            continue
        if other != [base] or _lies_where(adapter, base):
            raise UsageError(
                f"{named}: {adapter} was trained on {other[0]}, whose weights are others now: together they are a "
                "model that nobody trained. Put the weights back, or train again. To put it on other weights all the "
                "same, keep them in a directory of their own: hf:BASE+ADAPTER."
            )
        warnings.warn(f"{named}: the weights of {base} are not those that {adapter} was trained on.", stacklevel=2)
        return "base not as trained"
    return ""


def _lies_where(adapter: str, base: str) -> bool:
    """Whether ``base`` is the directory that ``adapter`` names as its base, by whatever path."""
    try:
        return Path(trained_on(Path(adapter))[0]).resolve() == Path(base).resolve()
    except UsageError:  # it is not there, so that the user names another
        return False
