"""The embedded world, which stands where no model and no data are named: asked for here and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, UsageError
from harness.models.model_files import read_adapter_config, read_config
from harness.protocols.progress import Progress, silent
from harness.util.files import write_text
from harness.util.options import build

if TYPE_CHECKING:
    from tinyworld.build import World

TRUTH = "truth.jsonl"
"""What every scene of a data directory of the embedded world shows."""
SPLITS = ("report", "tuning")
"""The folders of a world's benchmarks."""

SETTINGS: dict[str, Any] = {"decoding": {"max_new_tokens": 64, "num_beams": 1}, "short": False}
"""Benchmark settings on the embedded world's data: greedy, its answers are short (Object HalBench's own is beam 3).
Its model does not know the words of POPE's request for a short answer."""


def is_embedded(folder: Path) -> bool:
    """Whether ``folder`` holds a benchmark's data of the embedded world, of which alone the rule judge knows the truth.

    Its README says so, or its truth lies there. In worlds of earlier versions the README above all benchmarks says it,
    or the truth lies in the folder of the benchmark that every world has.
    """
    folder = folder.absolute()
    if (folder / TRUTH).is_file() or _is_called_synthetic(folder):
        return True
    split = folder.parent
    beside = split.name in SPLITS and (split / "object_halbench" / TRUTH).is_file()
    return folder.is_dir() and (beside or _is_called_synthetic(split.parent))


def _is_called_synthetic(folder: Path) -> bool:
    """Whether the README in ``folder`` is the one that the embedded world writes."""
    from tinyworld.build import README

    title = README.partition("\n")[0]
    try:
        with (folder / "README.md").open(encoding="utf-8") as file:
            return file.readline(len(title) + 2).rstrip() == title
    except (OSError, UnicodeDecodeError):
        return False


def synthetic(folder: Path) -> dict[str, str]:
    """What is stored with an evaluation on the data in ``folder``: that they are the embedded world's; else nothing."""
    from tinyworld.build import SYNTHETIC

    return {"synthetic": SYNTHETIC} if is_embedded(folder) else {}


def is_embedded_model(source: str) -> bool:
    """Whether ``source`` ("hf:DIR", "DIR+ADAPTER", a directory of either) is the embedded world's base model or one
    that was trained from it: no other has its words and the size of its images.
    """
    from tinyworld.language import vocabulary
    from tinyworld.render import SIZE

    path = Path(source.removeprefix("hf:"))
    folder = path if os.path.isdir(path) else Path(str(path).partition("+")[0])
    adapter, file = folder / "adapter_config.json", folder / "config.json"
    if not os.path.exists(folder):  # of a run that was kept without its models
        return folder.parent.name == "tinyworld" and folder.name.startswith("base-")
    try:
        if adapter.is_file() and not file.is_file():
            return is_embedded_model(str(read_adapter_config(folder).get("base_model_name_or_path")))
        config = read_config(folder)
        sizes = config["text_config"]["vocab_size"], config["vision_config"]["image_size"]
    except (DataError, KeyError, TypeError, RecursionError):  # a hub id, or a file that is no model's
        return False
    return sizes == (len(vocabulary()), SIZE)


def embedded_world(settings: Mapping[str, Any]) -> World:
    """Where the world of these settings of its own lies, built or not."""
    from tinyworld.build import WorldConfig, located

    return located(build(WorldConfig, settings, "the embedded world"))


def unbuilt(*paths: str) -> list[str]:
    """Those of ``paths`` that belong to an embedded world, and are not there yet."""
    root = embedded_world({}).model_dir.parent
    return [path for path in paths if root in Path(path).parents and not Path(path).exists()]


def build_embedded(settings: Mapping[str, Any], progress: Progress = silent) -> World:
    """The world of these settings of its own, built if absent (minutes)."""
    from tinyworld.build import WorldConfig
    from tinyworld.build import build as build_world

    return build_world(build(WorldConfig, settings, "the embedded world"), progress=progress)


def mark_card(folder: Path) -> None:
    """Say at the top of the model card in ``folder`` that the model is the embedded world's."""
    from tinyworld.build import SYNTHETIC

    card = folder / "README.md"
    title, line, rest = card.read_text(encoding="utf-8").partition("\n## ")
    said = f"Of the {SYNTHETIC}."
    if said not in title:  # a killed run may have come so far before
        write_text(card, f"{title}\n{said}\n{line}{rest}")


def world_to_ask(progress: Progress, *, built: bool) -> tuple[Path, str]:
    """Its benchmark data and its base model as a spec. Where it is absent it is ``built``, or that is a UsageError."""
    world = build_embedded({}, progress) if built else embedded_world({})
    if not built and unbuilt(str(world.bench_dir), str(world.model_dir)):
        raise UsageError(
            f"the embedded world is not built yet ({world.bench_dir}), and a dry run builds nothing: its answers are "
            "counted once `demo` or `bench` has built it, which takes minutes. Or name your data with --data-dir."
        )
    return world.bench_dir, f"hf:{world.model_dir}"


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
