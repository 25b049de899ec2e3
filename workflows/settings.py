"""From `--set`, recipes and options to the dataclasses they configure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import unknown_name
from harness.util.options import parse_assignments, read_yaml


def gather(recipe: Path | None, assignments: Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """One flat dictionary of settings: the recipe, then `--set`, then options that were given (not None)."""
    settings = read_yaml(recipe) if recipe else {}
    settings.update(parse_assignments(assignments))
    settings.update({name: value for name, value in options.items() if value is not None})
    return settings


def route(
    settings: Mapping[str, Any], kinds: Mapping[str, type[Any]], what: str, *, everywhere: bool = False
) -> dict[str, dict[str, Any]]:
    """Deal ``settings`` out to the dataclasses that have a field of that name, by the keys of ``kinds``.

    A setting goes to the first that has it, or to all of them (``everywhere``).
    A name that no dataclass has raises a UsageError with the nearest one that exists.
    """
    fields = {label: {f.name for f in dataclasses.fields(kind) if f.init} for label, kind in kinds.items()}
    dealt: dict[str, dict[str, Any]] = {label: {} for label in kinds}
    for name, value in settings.items():
        homes = [label for label, names in fields.items() if name in names]
        if not homes:
            raise unknown_name(f"setting of {what}", name, set().union(*fields.values()))
        for label in homes if everywhere else homes[:1]:
            dealt[label][name] = value
    return dealt


def deal_benchmarks(
    names: Iterable[str], assignments: Iterable[str], defaults: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """`--set` values by benchmark: each goes to every benchmark that has it; one that none has is an error.

    ``defaults`` are settings that `--set` overrides.
    """
    from harness.protocols.benchmark import BENCHMARKS

    kinds = {name: BENCHMARKS.get(name) for name in names}
    fields = {f.name for kind in kinds.values() for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    known = {name: value for name, value in (defaults or {}).items() if name in fields}
    return route({**known, **parse_assignments(assignments)}, kinds, "these benchmarks", everywhere=True)
