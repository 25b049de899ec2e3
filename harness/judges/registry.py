"""Judges by name: ``rule``, ``openai:NAME[@BASE_URL]``, ``replay:FILE.jsonl`` and those of other packages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.protocols.judge import Judge
from harness.registry import Registry
from harness.util.options import build
from harness.util.shape import extends

JUDGES: Registry[type[Judge]] = Registry(
    "judge",
    ("harness.judges.openai", "harness.judges.replay"),
    package="harness.judges",
    group="dama_harness.judges",
    check=extends(Judge),
    example="A model behind an endpoint is openai:NAME[@BASE_URL], for example openai:gpt-4o.",
)


def judge_kind(spec: str) -> type[Judge]:
    """The kind of judge that ``spec`` names; raises UsageError for an unknown one."""
    kind, _, _ = spec.partition(":")
    if not kind:
        raise UsageError(f"--judge {spec!r}: expected rule, openai:NAME[@BASE_URL] or replay:FILE.jsonl.")
    return JUDGES.get(kind)


def make_judge(
    spec: str, root: Path, settings: Mapping[str, Any] | None = None, *, only_estimate: bool = False
) -> Judge:
    """The judge that ``spec`` names.

    Args:
        spec: ``KIND`` or ``KIND:ARGUMENT``, for example ``openai:gpt-4o@http://127.0.0.1:8000/v1``.
        root: the benchmark's data directory (a judge of the embedded world reads its truth there).
        settings: the judge's own settings, for example ``{"budget": 5.0}``.
        only_estimate: it will not be asked, so that nothing need be at hand for that.

    Raises UsageError for an unknown kind, a bad argument, or settings that the judge does not have.
    """
    # A kind's constructor takes what Judge's docstring says; that is no part of the type.
    kind: Any = judge_kind(spec)
    argument, chosen = spec.partition(":")[2], judge_settings(spec, settings or {})
    made: Judge = kind(argument, root) if chosen is None else kind(argument, root, chosen)
    if not only_estimate:
        made.check()
    return made


def judge_settings(spec: str, settings: Mapping[str, Any]) -> Any:
    """The settings of the judge that ``spec`` names; None if it has none. An unknown one is a UsageError."""
    kind, name = judge_kind(spec), spec.partition(":")[0]
    if kind.Settings is None:
        if settings:
            raise UsageError(f"--judge {spec}: this judge has no settings, got {', '.join(sorted(settings))}.")
        return None
    return build(kind.Settings, settings, f"--judge {name}")


def has_setting(spec: str, name: str) -> bool:
    """Whether the judge that ``spec`` names has a setting ``name``: one with ``budget`` costs money."""
    settings = judge_kind(spec).Settings
    return settings is not None and name in {field.name for field in dataclasses.fields(settings)}
