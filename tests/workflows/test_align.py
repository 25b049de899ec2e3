"""A run that is killed near its end is finished by the next command, with the same weights; what a dry run refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import dama
from cli import cli
from harness.errors import Interrupted
from harness.protocols.progress import silent
from harness.store import Store
from tests.tiny import tiny_llava, tiny_pairs
from workflows.align import resolve_alignment
from workflows.align_spec import AlignSpec
from workflows.interruption import folder_of

SETTINGS = {"batch_size": 4, "checkpoint_every": 1, "lr": 1e-2, "device": "cpu"}


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlignSpec:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    files = {"model": str(tiny_llava(tmp_path / "model")), "data": str(tiny_pairs(tmp_path, count=8))}
    return resolve_alignment({**files, **SETTINGS, "method": "gap"}, silent)


def run(db: Path, spec: AlignSpec) -> dict[str, torch.Tensor]:
    """The command, by the road that the command line takes as well."""
    files = {"model": spec.train.model, "data": spec.train.data}
    made = dama.align("gap", **files, settings=SETTINGS, probe=False, progress=False, db=db)
    return load_file(made.model_dir / "model.safetensors")


def test_a_dry_run_refuses_held_out_pairs_that_the_run_refuses(tmp_path: Path, spec: AlignSpec) -> None:
    words = ["align", "--method", "dpo", "--model", spec.train.model, "--data", spec.train.data, "--device", "cpu"]
    words += ["--db", str(tmp_path / "r.sqlite"), "--set"]
    for further in (["--dry-run"], []):
        done = CliRunner().invoke(cli, [*words, f"heldout={tmp_path / 'nofile.jsonl'}", *further])
        assert done.exit_code == 2 and "nofile.jsonl" in done.output, done.output
    (tmp_path / "other").mkdir()
    there = tiny_pairs(tmp_path / "other", count=3, seed=1)
    assert CliRunner().invoke(cli, [*words, f"heldout={there}", "--dry-run"]).exit_code == 0


def test_held_out_pairs_of_ones_own_are_measured_in_the_embedded_world_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    own = str(tmp_path / "own.jsonl")
    given = resolve_alignment({"method": "dpo", "heldout": own}, silent, built=False)
    without = resolve_alignment({"method": "dpo"}, silent, built=False)
    assert given.heldout == own and (without.heldout or "").endswith("heldout.jsonl") and without.heldout != own


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:the charts of hardness")
def test_checkpoints_are_removed_after_the_run_is_recorded_as_done(
    tmp_path: Path, spec: AlignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, folder = tmp_path / "r.sqlite", folder_of(spec.name, spec.key)
    finish = Store.finish_alignment

    def unless_done(store: Store, name: str, *, status: str, **facts: Any) -> None:
        if status == "done":
            raise KeyboardInterrupt
        finish(store, name, status=status, **facts)

    with monkeypatch.context() as patch:  # the model is saved, the record is not
        patch.setattr(Store, "finish_alignment", unless_done)
        with pytest.raises(Interrupted, match=r"Kept: .*checkpoint-2, from which it resumes"):
            run(db, spec)
    whole = load_file(folder / "model/model.safetensors")
    shutil.rmtree(folder / "model")
    with monkeypatch.context() as patch:  # the record is done, and the checkpoints are still there
        patch.setattr("aligners.training.checkpoints.remove_checkpoints", killed)
        with pytest.raises(KeyboardInterrupt):
            run(db, spec)
    assert Store(db).alignment(spec.name).status == "done" and list(folder.glob("checkpoint-*"))
    again = run(db, spec)
    assert all(torch.equal(whole[name], tensor) for name, tensor in again.items())
    assert sorted(path.name for path in folder.iterdir()) == ["model", "record.json"]


@pytest.mark.filterwarnings("ignore:the charts of hardness")
def test_a_run_that_was_killed_before_its_first_checkpoint_says_that_it_starts_over(
    tmp_path: Path, spec: AlignSpec
) -> None:
    store = Store(tmp_path / "r.sqlite")
    log = store.start_alignment(spec.name, method="gap", seed=0, panel="", key=spec.key, config=spec.record)
    log.log_step(1, {"loss": 0.7})
    with pytest.warns(UserWarning, match=rf"{spec.name}: interrupted after step 1\. .*: it starts over"):
        run(store.path, spec)
    assert [row["step"] for row in store.train_log(spec.name)] == [1, 2]
