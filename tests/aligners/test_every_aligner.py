"""What the trainer promises, kept by every registered aligner and family: how a step is split over micro-batches or
processes, and whether a run was interrupted, changes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aligners.objective import ALIGNERS
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult, align
from tests.aligners.training.runs import Notes, distance
from tests.house import ROOT
from tests.test_align_recipe import tiny_clip
from tests.tiny_families import tiny_family

KINDS = ("qwen2_5_vl", "gemma3", "mllama")
"""A family of each kind of input: patches and positions of three dimensions, types of tokens, cross-attention.
The steps of all others are in test_families.py."""

NAMES = sorted(ALIGNERS.names())
# Before the first step all gaps are 0 but for rounding, which would decide what a gap filter drops: its rate is 0.
SETTINGS: dict[str, Any] = {"epochs": 2, "lr": 2e-3, "warmup": 0.25, "batch_size": 16, "device": "cpu"}


def run(
    method: str, inputs: tuple[str, str, str], out: Path, notes: Notes | None = None, **changes: Any
) -> AlignResult:
    """Align with ``method`` on ``inputs`` (model, pairs, CLIP)."""
    resume, options = bool(changes.pop("resume", False)), changes.pop("options", {})
    model, data, clip = inputs
    config = AlignConfig(model=model, data=data, method=method, **{**SETTINGS, "micro_batch": 4, **changes})
    hardness = HardnessConfig(clip=clip)
    return align(config, ALIGNERS.get(method)(**options), notes or Notes(), out, hardness=hardness, resume=resume)


@pytest.fixture(scope="module")
def inputs(llava: Path, pairs_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A tiny model, pairs with the scores that da-dpo reads, and a tiny CLIP."""
    file = pairs_file.with_name("scored.jsonl")
    rows = [json.loads(line) for line in pairs_file.read_text().splitlines()]
    scored = [{**row, "c_chosen": i % 5 / 5, "c_rejected": i % 3 / 3} for i, row in enumerate(rows)]
    file.write_text("".join(json.dumps(row) + "\n" for row in scored))
    return str(llava), str(file), tiny_clip(tmp_path_factory.mktemp("every") / "clip")


@pytest.fixture(autouse=True)
def home(session_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(session_home))


@pytest.mark.parametrize("method", NAMES)
def test_micro_batches_and_an_interruption_change_nothing(
    method: str, inputs: tuple[str, str, str], tmp_path: Path
) -> None:
    whole_notes, notes = Notes(), Notes()
    whole = run(method, inputs, tmp_path / "whole", whole_notes, micro_batch=16)
    with pytest.raises(KeyboardInterrupt):
        run(method, inputs, tmp_path / "cut", Notes(stop_at=4), checkpoint_every=2)
    resumed = run(method, inputs, tmp_path / "cut", notes, checkpoint_every=2, resume=True)
    assert sorted(notes.steps) == [3, 4]
    assert distance(whole, resumed) < 1e-6
    for step, metrics in notes.steps.items():
        assert metrics == pytest.approx(whole_notes.steps[step], rel=1e-4, abs=1e-5)


FRESH = """
import json, sys
from pathlib import Path
from tests.aligners.test_every_aligner import NAMES, run
from tests.aligners.training.runs import Notes
*inputs, out = sys.argv[1:]
short = {"epochs": 1, "limit": 8, "batch_size": 4, "micro_batch": 4, "warmup": 0.0, "probe_every": 0}
losses = {}
def noted(name, method, inputs, **changes):
    notes = Notes()
    run(method, tuple(inputs), Path(out) / name, notes, **{**short, **changes})
    losses[name] = [notes.steps[step]["loss"].hex() for step in sorted(notes.steps)]
for method in NAMES:
    for rank in (0, 2):
        noted(f"{method}-{rank}", method, inputs, lora_rank=rank)
for how in ("stack", "continue"):
    noted(how, "dama", [str(Path(out) / "dpo-2" / "model"), *inputs[1:]], lora_rank=2, adapter_start=how)
cut = {"lora_rank": 2, "limit": 12, "checkpoint_every": 1}
try:
    run("dama", tuple(inputs), Path(out) / "resumed", Notes(stop_at=2), **{**short, **cut})
except KeyboardInterrupt:
    noted("resumed", "dama", inputs, resume=True, **cut)
Path(out, "losses.json").write_text(json.dumps(losses))
"""


@pytest.mark.slow
def test_two_fresh_processes_make_the_same_losses_and_weights_of_one_seed(
    inputs: tuple[str, str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FRESH, *inputs]
    fresh = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    running = []
    for number in ("1", "2"):  # a set has another order under another hash seed
        own = {"DAMA_HOME": str(tmp_path / f"home{number}"), "PYTHONHASHSEED": number}
        (tmp_path / number).mkdir()
        words = [*command, str(tmp_path / number)]
        running.append(subprocess.Popen(words, env={**os.environ, **fresh, **own}, stderr=subprocess.PIPE, text=True))
    for process in running:
        _, said = process.communicate(timeout=900)
        assert process.returncode == 0, said[-3000:]
    one, two = (json.loads((tmp_path / number / "losses.json").read_text()) for number in ("1", "2"))
    assert one == two and len(one) == 2 * len(NAMES) + 3 and all(map(len, one.values()))
    assert len(one["resumed"]) == 2, "its second and third step, from the checkpoint of the first"
    made = [*tmp_path.glob("1/*/model/*.safetensors"), *tmp_path.glob("1/*-2/model/adapter_config.json")]
    assert len(made) == 3 * len(NAMES) + 3
    for file in made:
        assert file.read_bytes() == (tmp_path / "2" / file.relative_to(tmp_path / "1")).read_bytes(), file


@pytest.mark.parametrize("family", KINDS)
def test_every_kind_of_family_trains_alike_in_any_split_and_after_an_interruption(
    family: str, inputs: tuple[str, str, str], tmp_path: Path
) -> None:
    model, processor = tiny_family(family)
    model.float().save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    mine = (str(tmp_path / "base"), *inputs[1:])
    notes = Notes()
    # Before the first step all gaps are 0 but for rounding, which would decide what is filtered.
    settings: dict[str, Any] = {"options": {"filter": "none"}}
    whole = run("dama", mine, tmp_path / "whole", notes, micro_batch=16, **settings)
    settings["checkpoint_every"] = 2
    with pytest.raises(KeyboardInterrupt):
        run("dama", mine, tmp_path / "cut", Notes(stop_at=4), **settings)
    resumed = run("dama", mine, tmp_path / "cut", resume=True, **settings)
    assert notes.info["route"].startswith("plain rows" if family == "gemma3" else "shared prefix")
    assert notes.steps[1]["gap"] == pytest.approx(0, abs=1e-3)
    assert notes.steps[4]["loss"] < notes.steps[1]["loss"]
    assert distance(whole, resumed) < 1e-5


WORKER = """
import sys
from pathlib import Path
from tests.aligners.test_every_aligner import NAMES, run
*inputs, out = sys.argv[1:]
for method in NAMES:
    run(method, tuple(inputs), Path(out) / method)
"""


@pytest.mark.slow
def test_two_processes_equal_one(inputs: tuple[str, str, str], tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    done = subprocess.run(
        [*command, *inputs, str(tmp_path / "two")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for method in NAMES:
        one = run(method, inputs, tmp_path / "one" / method)
        two = dataclasses.replace(one, model_dir=tmp_path / "two" / method / "model")
        assert distance(one, two) < 1e-6, method
