"""Several real processes give what one gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aligners.training.pipeline import AlignResult
from tests.aligners.training.runs import Bench, DamaOfScores, Notes, distance

ROOT = Path(__file__).parents[3]


WORKER = """
import sys
from pathlib import Path
from aligners.training.pipeline import align
from tests.aligners.training.runs import DamaOfScores, Notes
from aligners.training.config import AlignConfig
model, data, out, sharding, dies = sys.argv[1:]
config = AlignConfig(model=model, data=data, epochs=2, lr=2e-3, micro_batch=4, device="cpu", sharding=sharding,
                     warmup=0.25, checkpoint_every=2 if dies == "dies" else 0)
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
