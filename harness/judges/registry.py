"""Judges by name: ``rule``, ``openai:NAME[@BASE_URL]``, ``replay:FILE.jsonl`` and those of other packages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.protocols.judge import Judge
from harness.registry import Registry

JudgeFactory = Callable[..., Judge]
"""``(argument, root) -> Judge``: what stands after the colon of the spec, and the benchmark's data directory.
A judge with settings takes them as a third, keyword argument ``settings``."""

JUDGES: Registry[JudgeFactory] = Registry(
    "judge", ("harness.chat.client", "harness.judges.replay"), group="dama_harness.judges"
)


def make_judge(spec: str, root: Path, settings: Mapping[str, Any] | None = None) -> Judge:
    """The judge that ``spec`` names.

    Args:
        spec: ``KIND`` or ``KIND:ARGUMENT``, for example ``openai:gpt-4o@http://127.0.0.1:8000/v1``.
        root: the benchmark's data directory (a judge of the embedded world reads its truth there).
        settings: the judge's own settings, for example ``{"budget": 5.0}``.

    Raises UsageError for an unknown kind, a bad argument, or settings that the judge does not have.
    """
    kind, _, argument = spec.partition(":")
    if not kind:
        raise UsageError(f"--judge {spec!r}: expected rule, openai:NAME[@BASE_URL] or replay:FILE.jsonl.")
    factory = JUDGES.get(kind)
    if not settings:
        return factory(argument, root)
    if "settings" not in inspect.signature(factory).parameters:
        raise UsageError(f"--judge {spec}: this judge has no settings, got {', '.join(sorted(settings))}.")
    return factory(argument, root, settings=settings)
