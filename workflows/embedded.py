"""The embedded world, which stands where no model and no data are named: asked for here and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.protocols.progress import Progress, silent
from harness.util.options import build

if TYPE_CHECKING:
    from tinyworld.build import World

TRUTH = "truth.jsonl"
"""What every scene of a data directory of the embedded world shows."""

SETTINGS: dict[str, Any] = {"decoding": {"max_new_tokens": 64, "num_beams": 1}, "short": False}
"""Benchmark settings on the embedded world's data: greedy, its answers are short (Object HalBench's own is beam 3).
Its model does not know the words of POPE's request for a short answer."""


def is_embedded(folder: Path) -> bool:
    """Whether ``folder`` holds a benchmark's data of the embedded world: the rule judge knows the truth of no other."""
    return (folder / TRUTH).is_file()


def build_embedded(settings: Mapping[str, Any], progress: Progress = silent) -> World:
    """The world of these settings of its own, built if absent (minutes)."""
    from tinyworld.build import WorldConfig
    from tinyworld.build import build as build_world

    return build_world(build(WorldConfig, settings, "the embedded world"), progress=progress)


def base_model(progress: Progress) -> str:
    """Its base model as a spec."""
    return f"hf:{build_embedded({}, progress).model_dir}"


def data_root(
    given: str | Path | None,
    progress: Progress = silent,
    world: Mapping[str, Any] | None = None,
    split: str = "report",
) -> Path:
    """The directory of benchmark data that was ``given``, else that of a world's ``split``; ``world``: its settings."""
    if given is not None:
        return Path(given)
    made = build_embedded(world or {}, progress)
    return made.tuning_dir if split == "tuning" else made.bench_dir
