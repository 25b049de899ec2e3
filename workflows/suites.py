"""Suites: which benchmarks are run together, with which settings and limits; built in, or a user's own in YAML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from harness.errors import UsageError, unknown_name
from harness.protocols.benchmark import BENCHMARKS
from harness.util.options import build, read_yaml
from harness.util.ranges import at_least

DEFAULT = "hallucination"
EVERYTHING = "all"


def suites() -> dict[str, tuple[str, ...]]:
    """The built-in suites: the benchmarks that declare each, and ``all``, which is every benchmark of a suite.

    Members come in the registry's order, those of other packages last.
    """
    names = sorted(BENCHMARKS.names(), key=lambda name: (BENCHMARKS.position(name), name))
    declared = {name: BENCHMARKS.get(name).suites for name in names}
    suite_names = dict.fromkeys(suite for of_benchmark in declared.values() for suite in of_benchmark)
    members = {suite: tuple(name for name in names if suite in declared[name]) for suite in suite_names}
    return {**members, EVERYTHING: tuple(name for name in names if declared[name])}


@dataclass(frozen=True, kw_only=True)
class Member:
    """One benchmark of a suite.

    Args:
        benchmark: its name.
        set: its settings, as of `--set`.
        limit: how many of its samples are asked; None: all, or the suite's limit.
    """

    benchmark: str
    set: dict = field(default_factory=dict)  # type: ignore[type-arg]
    limit: Annotated[int, at_least(1, "samples")] | None = None


@dataclass(frozen=True, kw_only=True)
class SuiteFile:
    """A suite in YAML.

    Args:
        benchmarks: names, or mappings with the keys below.
        name: for people; nothing reads it.
        limit: samples of each benchmark; None: all.
    """

    benchmarks: tuple[object, ...] = ()
    name: str = ""
    limit: Annotated[int, at_least(1, "samples")] | None = None


def members_of(suite: str | None, names: Sequence[str]) -> list[Member]:
    """The benchmarks named (``a,b`` counts as two), or those of the suite: built in, or a YAML file.

    Raises UsageError for an unknown suite or benchmark, or a file that is no suite.
    """
    if names:
        members = [Member(benchmark=name) for name in dict.fromkeys(split_names(names))]
    elif (suite or DEFAULT) in (built_in := suites()):
        members = [Member(benchmark=name) for name in built_in[suite or DEFAULT]]
    elif suite and (Path(suite).suffix in (".yaml", ".yml") or os.path.isfile(suite)):
        members = _read(Path(suite))
    else:
        raise unknown_name("suite (or YAML file)", str(suite), built_in)
    for member in members:
        try:
            BENCHMARKS.get(member.benchmark)
        except UsageError as error:
            raise UsageError(f"{error} (suite {suite})" if suite and not names else str(error)) from error
    return members


def split_names(names: Sequence[str]) -> list[str]:
    """``a,b`` is two benchmarks; ``lmms:x,y`` is two tasks of lmms-eval."""
    split = []
    for word in names:
        kind, colon, rest = word.partition(":")
        each = [name.strip() for name in (rest if colon else word).split(",") if name.strip()]
        split += [f"{kind}:{name}" if colon and ":" not in name else name for name in each]
    return split


def _read(path: Path) -> list[Member]:
    suite = build(SuiteFile, read_yaml(path, "suite"), f"suite {path}")
    members: list[Member] = []
    for row in suite.benchmarks:
        if isinstance(row, str):
            members.append(Member(benchmark=row, limit=suite.limit))
        elif isinstance(row, Mapping) and "benchmark" in row:
            members.append(build(Member, {"limit": suite.limit, **row}, f"suite {path}"))
        else:
            raise UsageError(
                f"suite {path}: {row!r}: expected a benchmark's name or {{benchmark: NAME, set: {{...}}}}."
            )
    if not members:
        raise UsageError(f"suite {path}: no benchmarks in it.")
    twice = [m.benchmark for i, m in enumerate(members) if m.benchmark in {n.benchmark for n in members[:i]}]
    if twice:
        raise UsageError(f"suite {path}: {twice[0]} stands there twice; one row a benchmark.")
    return members
