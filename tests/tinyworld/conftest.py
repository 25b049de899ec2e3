"""One small world for the tests of this room."""

from __future__ import annotations

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
    return tmp_path_factory.mktemp("home") / "tinyworld"


@pytest.fixture(scope="session")
def world(world_root: Path) -> World:
    return build(WorldConfig(**SMALL, label_noise=0.3), world_root)
