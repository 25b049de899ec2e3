"""A run that is cut resumes from its last complete checkpoint, and equals one that was not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.training import checkpoints
from aligners.training.checkpoints import (
    fault_of,
    keep_newest,
    last_checkpoint,
    remove_checkpoint,
    remove_checkpoints,
    resumable_checkpoint,
)
from aligners.training.trainer import PreferenceTrainer
from harness.errors import HarnessError, UsageError
from tests.aligners.training.runs import Bench, Notes, distance, weights
from tests.tiny import tiny_pairs


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(bench: Bench, lora_rank: int) -> None:
    settings: dict[str, Any] = {"epochs": 3, "checkpoint_every": 2, "micro_batch": 8, "lora_rank": lora_rank}
    whole_notes, notes = Notes(), Notes()
    whole = bench.run(Gap(), "whole", whole_notes, **settings)
    with pytest.raises(KeyboardInterrupt):
        bench.run(Gap(), "cut", Notes(stop_at=4), **settings)
    assert [path.name for path in (bench.folder / "cut").glob("checkpoint-*")] == ["checkpoint-2"]
    resumed = bench.run(Gap(), "cut", notes, resume=True, **settings)
    assert sorted(notes.steps) == [3, 4, 5, 6]
    assert distance(whole, resumed) == 0
    assert notes.steps[6] == pytest.approx(whole_notes.steps[6], rel=1e-6)
    left = sorted(path.name for path in (bench.folder / "cut").glob("checkpoint-*"))
    assert left == ["checkpoint-4", "checkpoint-6"], "the newest two, until the run is recorded as done"
    assert distance(bench.run(Gap(), "cut", Notes(), resume=True, **settings), whole) == 0, "killed before that"


def test_a_checkpoint_of_another_objective_or_of_other_pairs_is_refused(bench: Bench) -> None:
    settings: dict[str, Any] = {"checkpoint_every": 2, "micro_batch": 8}
    with pytest.raises(KeyboardInterrupt):
        bench.run(Gap(), "cut", Notes(stop_at=4), **settings)
    for other in (Dpo(), Gap(keep=0.5)):
        with pytest.raises(UsageError, match=r"checkpoint-2 is of .*'gap'.*--fresh"):
            bench.run(other, "cut", resume=True, **settings)
    changed = tiny_pairs(bench.folder / "changed", seed=1)
    with pytest.raises(UsageError, match=r"checkpoint-2 is of other pairs.*--fresh"):
        bench.run(Gap(), "cut", resume=True, data=str(changed), **settings)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left on device")])
def test_a_full_disk_leaves_the_previous_checkpoint_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    whole = bench.run(Gap(), "whole", micro_batch=8)
    save = PreferenceTrainer._save_optimizer_and_scheduler

    def full(self: PreferenceTrainer, folder: str) -> None:
        if folder.endswith("-3"):
            raise error
        save(self, folder)

    with monkeypatch.context() as patch:
        patch.setattr(PreferenceTrainer, "_save_optimizer_and_scheduler", full)
        with pytest.raises(HarnessError, match=r"checkpoint-3 could not be saved .*checkpoint-2 is whole"):
            bench.run(Gap(), "full", micro_batch=8, checkpoint_every=1)
    assert distance(whole, bench.run(Gap(), "full", resume=True, micro_batch=8, checkpoint_every=1)) <= 1e-7


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two complete checkpoints, of the parts that Trainer writes."""
    folder = tmp_path_factory.mktemp("cut")
    parts = {"optimizer.pt": {"a": torch.ones(9)}, "scheduler.pt": {"b": 1}, "rng_state.pth": {"c": 2}}
    for step in (2, 4):
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir()
        for name, part in parts.items():
            torch.save(part, checkpoint / name)
        save_file({"weight": torch.ones(3)}, checkpoint / "model.safetensors")
        (checkpoint / "trainer_state.json").write_text(json.dumps({"global_step": step}))
        checkpoints.write_state(checkpoint, Gap(), "hash", {"mean": 0.5}, [{"step": 1, "loss": float("nan")}])
    return folder


def shorter(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def garbled(file: Path) -> None:
    file.write_bytes(b"x" * file.stat().st_size)


def earlier_version(folder: Path) -> None:
    """As versions wrote them that listed no files."""
    for mark in folder.glob("*/objective_state.json"):
        kept = json.loads(mark.read_text())
        mark.write_text(json.dumps({name: value for name, value in kept.items() if name != "files"}))


@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("damage", [shorter, garbled, Path.unlink])
@pytest.mark.parametrize(
    "part",
    [
        "objective_state.json",
        "trainer_state.json",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "model.safetensors",
    ],
)
def test_a_checkpoint_of_which_a_part_is_not_what_was_written_is_left_for_the_one_before(
    cut: Path, tmp_path: Path, part: str, damage: Callable[[Path], None], older: bool
) -> None:
    folder = shutil.copytree(cut, tmp_path / "cut")
    if older:
        earlier_version(folder)
    assert last_checkpoint(folder) == folder / "checkpoint-4"
    damage(folder / "checkpoint-4" / part)
    with pytest.warns(UserWarning, match=r"checkpoint-4 is left out: .*; the run resumes from checkpoint-2"):
        assert resumable_checkpoint(folder) == folder / "checkpoint-2"
    assert not (folder / "checkpoint-4").exists()
    damage(folder / "checkpoint-2" / part)
    with pytest.warns(UserWarning, match=r"checkpoint-2 is left out: .*there is none before it: the run starts over"):
        assert resumable_checkpoint(folder) is None


def test_a_large_part_that_cannot_be_read_is_seen_without_its_digest(
    cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SMALL", 0)
    folder = shutil.copytree(cut, tmp_path / "cut")
    checkpoints.write_state(folder / "checkpoint-4", Gap(), "hash", {}, [])
    assert fault_of(folder / "checkpoint-4") == ""
    garbled(folder / "checkpoint-4/optimizer.pt")
    assert fault_of(folder / "checkpoint-4") == "optimizer.pt cannot be read"


@pytest.mark.parametrize("content", ["[]", "{}", '{"state": 1, "curve": 2}', '{"state": {}, "curve": [], "files": 3}'])
def test_a_mark_of_another_shape_marks_nothing(cut: Path, tmp_path: Path, content: str) -> None:
    folder = shutil.copytree(cut, tmp_path / "cut")
    (folder / "checkpoint-4/objective_state.json").write_text(content)
    assert last_checkpoint(folder) == folder / "checkpoint-2"


def test_a_checkpoint_whose_removal_was_killed_is_not_complete(
    cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(cut, tmp_path / "cut")
    removed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, **_: removed.append(path.name))
        remove_checkpoint(folder / "checkpoint-4")
        assert last_checkpoint(folder) == folder / "checkpoint-2"
        remove_checkpoints(folder)
    assert removed == ["checkpoint-4", "checkpoint-2", "checkpoint-4"], "the oldest first"
    assert last_checkpoint(folder) is None
    remove_checkpoints(folder)
    assert not list(folder.glob("checkpoint-*"))


def test_older_checkpoints_go_once_two_newer_ones_are_complete(cut: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(cut, tmp_path / "cut")
    shutil.copytree(folder / "checkpoint-2", folder / "checkpoint-10")
    (folder / "checkpoint-10/optimizer.pt").unlink()
    (folder / "checkpoint-x").mkdir()
    keep_newest(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-2", "checkpoint-4", "checkpoint-x"]


def test_a_run_whose_newest_checkpoint_is_damaged_ends_as_one_that_was_not_cut(bench: Bench) -> None:
    settings: dict[str, Any] = {"epochs": 3, "checkpoint_every": 1, "micro_batch": 8}
    whole = bench.run(Gap(), "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        bench.run(Gap(), "cut", Notes(stop_at=5), **settings)
    shorter(bench.folder / "cut/checkpoint-4/optimizer.pt")
    notes = Notes()
    with pytest.warns(UserWarning, match=r"checkpoint-4 is left out: optimizer.pt is not what was written"):
        resumed = bench.run(Gap(), "cut", notes, resume=True, **settings)
    assert sorted(notes.steps) == [4, 5, 6] and distance(whole, resumed) == 0


def test_the_model_of_a_run_is_there_whole_or_not_at_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bench.run(Gap(), "run", checkpoint_every=2)
    before = weights(whole)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("aligners.training.pipeline.write_card", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run(Gap(), "run", checkpoint_every=2, lr=5e-3)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(whole).items()), "the one that was there"
    again = bench.run(Gap(), "run", resume=True, checkpoint_every=2, lr=5e-3)
    assert distance(bench.run(Gap(), "other", lr=5e-3), again) == 0
    left = {path.name for path in (bench.folder / "run").iterdir() if "checkpoint" not in path.name}
    assert left == {"model", "record.json"}


def test_a_checkpoint_whose_tensors_are_cut_otherwise_is_refused(tmp_path: Path) -> None:
    checkpoints.write_state(tmp_path, Gap(), "hash", {}, [], "with sharding=zero3 over 2 processes")
    assert checkpoints.read_state(tmp_path, Gap(), "hash", "with sharding=zero3 over 2 processes") == ({}, [])
    with pytest.raises(UsageError, match=r"zero3 over 2 processes, which cannot be read without sharding\. Resume as"):
        checkpoints.read_state(tmp_path, Gap(), "hash")
