"""Whether the resources behind official figures (tagger, similarity, prompt) are the official ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

UNOFFICIAL = "unofficial"
"""In ``BenchmarkData.info`` and an evaluation's: what ``unofficial`` gives."""


def unofficial(*parts: tuple[str, str, str]) -> dict[str, list[str]]:
    """What is not the official resource, for ``BenchmarkData.info``.

    ``parts``: (what it is for, what is used here, what the official scorer uses). With none differing the figures are
    fully official, else they follow the official rules only.
    """
    others = [f"{what}: {used} (officially {official})" for what, used, official in parts if used != official]
    return {UNOFFICIAL: others}


def level(info: Mapping[str, Any]) -> Literal["full", "rules"] | None:
    """Of an evaluation's ``info``: "full", or "rules" where some resource is not official; None where none is recorded
    (older evaluations, benchmarks without official figures).
    """
    differing = info.get(UNOFFICIAL)
    return None if differing is None else "rules" if differing else "full"


def differing(info: Mapping[str, Any]) -> list[str]:
    """What of an evaluation's resources is not official, as ``unofficial`` wrote it."""
    return list(info.get(UNOFFICIAL) or [])
