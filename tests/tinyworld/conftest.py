"""One small world for the tests of this room."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest

from tinyworld.build import World, WorldConfig, build

SMALL = {
    "sft_images": 40,
    "sft_epochs": 1,
    "clip_images": 40,
    "clip_epochs": 1,
    "pair_images": 40,
    "heldout_images": 10,
    "halbench_images": 10,
    "amber_images": 10,
    "amber_questioned": 5,
    "mmhal_questions": 16,
    "pope_images": 10,
    "mmvet_questions": 16,
    "llavabench_images": 3,
    "tuning_images": 5,
}


@pytest.fixture(scope="session")
def world_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by all processes of one run of the tests: the world is built once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "home" / "tinyworld"


@pytest.fixture(scope="session")
def world(world_root: Path) -> World:
    """The world, with ``stages.json`` beside it: what was last reported of each stage of its building."""
    last: dict[str, tuple[int, int]] = {}

    def progress(step: str, done: int, total: int, note: str = "") -> None:
        last[step] = (done, total)

    world_root.mkdir(parents=True, exist_ok=True)
    with (world_root.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        world = build(WorldConfig(**SMALL, label_noise=0.3), world_root, progress)
        stages = world_root.parent / "stages.json"
        if not stages.exists():
            stages.write_text(json.dumps(last))
    return world
