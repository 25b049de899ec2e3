from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from aligners.dama import Dama
from aligners.dpo import Dpo
from aligners.gap import Gap
from aligners.mdpo import Mdpo
from aligners.objective import Batch, Objective
from aligners.pairs.data import load_pairs
from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult, align, spread
from aligners.training.trainer import PreferenceTrainer, training_order
from harness.errors import HarnessError, UsageError
from tests.tiny import load_tiny, tiny_pairs

ROOT = Path(__file__).parents[3]


@dataclasses.dataclass
class Notes:
    """A recorder that keeps everything; ``stop_at`` plays the machine that dies."""

    stop_at: int | None = None
    steps: dict[int, dict[str, float]] = dataclasses.field(default_factory=dict)
    gaps: dict[tuple[int, str], list[tuple[str, float]]] = dataclasses.field(default_factory=dict)
    info: dict[str, Any] = dataclasses.field(default_factory=dict)

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.steps[step] = dict(metrics)

    def log_gaps(self, step: int, split: str, gaps: Sequence[tuple[str, float]]) -> None:
        self.gaps[step, split] = list(gaps)

    def log_hardness(self, split: str, deltas: Mapping[str, float]) -> None:
        self.info[f"delta_{split}"] = dict(deltas)

    def log_info(self, values: Mapping[str, Any]) -> None:
        self.info.update(values)


@dataclasses.dataclass
class Bench:
    """Runs alignments of the tiny model under one cache."""

    base: AlignConfig
    folder: Path

    def run(
        self, objective: Objective, name: str, notes: Notes | None = None, *, resume: bool = False, **changes: Any
    ) -> AlignResult:
        config = dataclasses.replace(self.base, **changes)
        return align(config, objective, notes or Notes(), self.folder / name, hardness=None, resume=resume)


@pytest.fixture
def bench(llava: Path, pairs_file: Path, session_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("DAMA_HOME", str(session_home))
    config = AlignConfig(
        model=str(llava), data=str(pairs_file), epochs=2, lr=2e-3, micro_batch=16, checkpoint_every=0, device="cpu"
    )
    return Bench(config, tmp_path)


def weights(result: AlignResult) -> dict[str, Tensor]:
    return load_file(next(result.model_dir.glob("*.safetensors")))


def distance(one: AlignResult, other: AlignResult) -> float:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DamaOfScores(Dama):
    """Dama whose hardness is each pair's place in the step's order: no CLIP, and a changed order would show."""

    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def compute_weights(self, step: Any, state: Any) -> Any:
        delta = torch.linspace(-1, 1, step.size, dtype=torch.float64)
        return super().compute_weights(dataclasses.replace(step, delta=delta), state)


@pytest.mark.parametrize("objective", [Dpo(), DamaOfScores(), Gap(variant="code")], ids=["dpo", "dama", "gap-code"])
def test_the_split_of_a_step_changes_nothing(bench: Bench, objective: Objective) -> None:
    whole_notes, split_notes = Notes(), Notes()
    whole = bench.run(objective, "16", whole_notes)
    for micro in (8, 4):
        split = bench.run(objective, str(micro), split_notes, micro_batch=micro)
        assert distance(whole, split) < 1e-6
        for step, metrics in whole_notes.steps.items():
            assert split_notes.steps[step] == pytest.approx(metrics, rel=1e-4, abs=1e-5)
    assert set(whole_notes.steps) == {1, 2, 3, 4}


def test_training_raises_the_margin_and_starts_at_log_two(bench: Bench) -> None:
    notes = Notes()
    result = bench.run(Dpo(), "out", notes, epochs=4, probe_every=3)
    assert result.steps == 8
    assert notes.steps[1]["loss"] == pytest.approx(0.693147, abs=1e-3)
    assert notes.steps[1]["gap"] == pytest.approx(0, abs=1e-3)
    assert notes.steps[8]["loss"] < 0.6
    assert notes.steps[8]["accuracy"] == 1.0
    assert {"margin", "beta_mean", "beta_std", "filtered", "lr", "grad_norm"} <= notes.steps[8].keys()
    assert [step for step, _ in notes.gaps] == [0, 3, 6, 8]
    assert [pair_id for pair_id, _ in notes.gaps[8, "train"]] == [str(i) for i in range(32)]
    assert all(abs(gap) < 1e-3 for _, gap in notes.gaps[0, "train"])
    assert notes.info["route"].startswith("shared prefix")


def test_the_vision_tower_stays_as_it_was_and_the_rest_moves(bench: Bench, llava: Path) -> None:
    before, after = load_file(llava / "model.safetensors"), weights(bench.run(Dpo(), "out"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any("vision_tower" in name for name in moved)


def test_probing_has_no_effect_on_training(bench: Bench) -> None:
    assert distance(bench.run(Dpo(), "a", probe_every=1), bench.run(Dpo(), "b", probe_every=0)) == 0


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


def test_an_objective_with_a_corrupted_branch_trains_with_one_cache_and_in_any_split(bench: Bench) -> None:
    notes = Notes()
    whole = bench.run(Mdpo(), "mdpo", notes)
    # log 2 a term before the first step, since policy and reference agree on all three branches
    assert notes.steps[1]["loss"] == pytest.approx(3 * 0.693147, abs=1e-3)
    assert distance(whole, bench.run(Mdpo(), "mdpo-4", notes, micro_batch=4)) < 1e-6
    assert notes.info["reference_cached"] is True


def test_a_reference_of_other_weights_stops_the_run_before_it_begins(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = property(lambda self: torch.full(self.lengths.shape, -7.0, dtype=torch.float64).cumsum(1))
    monkeypatch.setattr("aligners.pairs.reference.Reference.sums", wrong)
    monkeypatch.setattr("aligners.pairs.reference.ReferenceModel._load", lambda *_: None)
    for objective in (Dpo(), Gap()):
        with pytest.raises(HarnessError, match="does not start at the reference"):
            bench.run(objective, "wrong")


def test_lora_trains_the_language_model_alone_and_saves_an_adapter(bench: Bench) -> None:
    notes = Notes()
    result = bench.run(Dpo(), "lora", notes, epochs=4, lora_rank=4, lr=2e-2)
    names = weights(result)
    assert names
    assert all("language_model" in name and "lora" in name for name in names)
    assert json.loads((result.model_dir / "adapter_config.json").read_text())["r"] == 4
    assert notes.steps[1]["gap"] == pytest.approx(0, abs=1e-3)
    assert notes.steps[8]["loss"] < notes.steps[1]["loss"]


def test_an_adapter_is_merged_on_request_and_the_card_says_how_it_was_made(bench: Bench) -> None:
    result = bench.run(Dpo(), "merged", lora_rank=4, lr=2e-2, merge=True)
    merged, _ = load_tiny(result.model_dir.parent / "model-merged")
    base, _ = load_tiny(Path(bench.base.model))
    adapted = PeftModel.from_pretrained(base, result.model_dir)
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        torch.testing.assert_close(merged(input_ids=ids).logits, adapted(input_ids=ids).logits, rtol=1e-4, atol=1e-5)
    card = (result.model_dir / "README.md").read_text()
    assert f"sha256 `{load_pairs(bench.base.data).content_hash}`" in card
    assert "lora_rank: 4" in card and "seed 0" in card and f"torch {torch.__version__}" in card
    assert card.count("\n| ") == 1 + 4, "a heading and four steps"


def test_a_checkpoint_of_another_objective_is_refused(bench: Bench) -> None:
    settings: dict[str, Any] = {"checkpoint_every": 2, "micro_batch": 8}
    with pytest.raises(KeyboardInterrupt):
        bench.run(Gap(), "cut", Notes(stop_at=4), **settings)
    for other in (Dpo(), Gap(keep=0.5)):
        with pytest.raises(UsageError, match=r"checkpoint-2 is of .*'gap'.*--fresh"):
            bench.run(other, "cut", resume=True, **settings)


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


def test_running_out_of_memory_names_batch_length_and_setting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("aligners.training.trainer.response_logprobs", full)
    for objective in (Dpo(), Gap()):
        with pytest.raises(HarnessError, match=r"with 8 pairs of up to \d+ tokens .* Set micro_batch=4"):
            bench.run(objective, "memory", micro_batch=8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breaks(Dpo):
    """NaN once a pair's gap has moved away from 0, which it has at the second step."""

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return super().losses(batch, beta) * torch.where(self.gaps(batch).abs() > 1e-3, torch.nan, 1.0)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(bench: Bench) -> None:
    with pytest.raises(HarnessError, match=r"stopped at step 2: the loss of pairs \d+.* is not finite"):
        bench.run(Breaks(), "nan", checkpoint_every=1, warmup=0.0)
    assert [path.name for path in (bench.folder / "nan").glob("checkpoint-*")] == ["checkpoint-1"]


def test_heldout_pairs_are_measured_and_reference_is_shared(bench: Bench, tmp_path: Path) -> None:
    heldout = load_pairs(tiny_pairs(tmp_path / "heldout", count=5, seed=9))
    notes = Notes()
    for _ in range(2):
        align(bench.base, Dpo(), notes, tmp_path / "out", hardness=None, heldout=heldout, resume=False)
    assert len(notes.gaps[0, "heldout"]) == 5
    assert notes.info["reference_cached"] is True


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadsScore(Dpo):
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "column:score"})

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return super().losses(batch, beta * (1 + batch.columns["score"]))


def test_objectives_read_data_columns_and_their_absence_is_an_error(bench: Bench, tmp_path: Path) -> None:
    assert bench.run(ReadsScore(), "column").steps == 4
    file = tiny_pairs(tmp_path / "data", count=4)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "score"}) for row in rows))
    with pytest.raises(UsageError, match="data column 'score'"):
        bench.run(ReadsScore(), "bare", data=str(file))


def test_what_cannot_work_is_said_before_anything_is_loaded(bench: Bench) -> None:
    with pytest.raises(UsageError, match="dama needs hardness"):
        bench.run(Dama(), "x", model="absent")
    with pytest.raises(UsageError, match="batch_size=16 is not micro_batch=5"):
        bench.run(Dpo(), "x", micro_batch=5)
    with pytest.raises(UsageError, match="epochs=0"):
        dataclasses.replace(bench.base, epochs=0)
    with pytest.raises(UsageError, match="model absent: no such directory"):
        bench.run(Dpo(), "x", model="absent")


def test_the_seed_alone_decides_the_order(pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file).pairs
    order = training_order(pairs, batch_size=12, epochs=2, seed=3)
    assert order == training_order(pairs, batch_size=12, epochs=2, seed=3)
    assert order != training_order(pairs, batch_size=12, epochs=2, seed=4)
    assert len(order) == 60  # 64 // 12 = 5 whole steps
    assert len(training_order(pairs[:3], batch_size=8, epochs=1, seed=0)) == 8
    assert [pair.id for pair in spread(pairs, 4)] == ["0", "8", "16", "24"]


WORKER = """
import sys
from pathlib import Path
from aligners.training.pipeline import align
from tests.aligners.training.test_pipeline import DamaOfScores, Notes
from aligners.training.config import AlignConfig
model, data, out, sharding, dies = sys.argv[1:]
config = AlignConfig(model=model, data=data, epochs=2, lr=2e-3, micro_batch=4, device="cpu", sharding=sharding,
                     checkpoint_every=2 if dies == "dies" else 0)
class Dies(Notes):
    def log_step(self, step, metrics):
        if dies == "dies" and step == 3:
            raise RuntimeError("the machine is gone")
align(config, DamaOfScores(), Dies(), Path(out), hardness=None, resume=False)
"""


def two_processes(
    bench: Bench, folder: Path, *, sharding: str = "none", dies: bool = False
) -> subprocess.CompletedProcess[str]:
    """Train in two real processes over gloo; the model goes to ``folder``/two."""
    script = folder / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [bench.base.model, bench.base.data, str(folder / "two"), sharding, "dies" if dies else "lives"]
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=180
    )


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_equal_one(bench: Bench, tmp_path: Path, sharding: str) -> None:
    one = bench.run(DamaOfScores(), "one")
    done = two_processes(bench, tmp_path, sharding=sharding)
    assert done.returncode == 0, done.stderr[-3000:]
    assert ("DDP" in done.stderr) == (sharding == "none"), "torch warns of DDP's unused parameters, and of nothing else"
    assert distance(one, AlignResult(tmp_path / "two/model", 4, {})) < 1e-6


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_job_and_one_process_goes_on_from_two(bench: Bench, tmp_path: Path) -> None:
    done = two_processes(bench, tmp_path, dies=True)
    assert done.returncode != 0
    assert "the machine is gone" in done.stderr
    notes = Notes()
    resumed = bench.run(DamaOfScores(), "two", notes, resume=True, micro_batch=4, checkpoint_every=2)
    assert sorted(notes.steps) == [3, 4]
    assert distance(bench.run(DamaOfScores(), "one"), resumed) < 1e-6
