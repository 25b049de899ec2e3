"""A run that is cut resumes from its last complete checkpoint, and equals one that was not."""

from __future__ import annotations

from typing import Any

import pytest
from safetensors import SafetensorError

from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.training.trainer import PreferenceTrainer
from harness.errors import HarnessError, UsageError
from tests.aligners.training.runs import Bench, Notes, distance
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
    assert distance(whole, resumed) <= 1e-7
    assert notes.steps[6] == pytest.approx(whole_notes.steps[6], rel=1e-6)
    assert not list((bench.folder / "cut").glob("checkpoint-*"))


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
