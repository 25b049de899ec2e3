"""Which figures are official, and whether the resources behind them (tagger, similarity, prompt) are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Level = Literal["full", "rules"]
"""How far an ``official_*`` figure is official: its resources too, or its rules only."""
PREFIX = "official_"
"""Begins the names of the counts and metrics that follow an official scorer's rules."""
UNOFFICIAL = "unofficial"
"""In ``BenchmarkData.info`` and an evaluation's: what ``unofficial`` gives."""


def is_official(name: str) -> bool:
    """Whether a count or metric follows an official scorer's rules."""
    return name.startswith(PREFIX)


def unofficial(*parts: tuple[str, str, str]) -> dict[str, list[str]]:
    """What is not the official resource, for ``BenchmarkData.info``.

    ``parts``: (what it is for, what is used here, what the official scorer uses). With none differing the figures are
    fully official, else they follow the official rules only.
    """
    others = [f"{what}: {used} (officially {official})" for what, used, official in parts if used != official]
    return {UNOFFICIAL: others}


def level(info: Mapping[str, Any]) -> Level | None:
    """Of an evaluation's ``info``: "full", or "rules" where some resource is not official; None where none is recorded
    (older evaluations, benchmarks without official figures).
    """
    differing = info.get(UNOFFICIAL)
    return None if differing is None else "rules" if differing else "full"


def differing(info: Mapping[str, Any]) -> list[str]:
    """What of an evaluation's resources is not official, as ``unofficial`` wrote it."""
    return list(info.get(UNOFFICIAL) or [])
