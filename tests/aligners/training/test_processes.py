"""Several real processes give what one gives."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from aligners.training.pipeline import AlignResult
from tests.aligners.training.runs import Bench, DamaOfScores, Notes, distance

ROOT = Path(__file__).parents[3]


WORKER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from aligners.training.pipeline import align
from tests.aligners.training.runs import DamaOfScores, Notes
from aligners.training.config import AlignConfig
model, data, out = sys.argv[1:]
config = AlignConfig(model=model, data=data, epochs=2, lr=2e-3, micro_batch=4, device="cpu", warmup=0.25,
                     checkpoint_every=0)
class Dies(Notes):
    def log_step(self, step, metrics):
        if step == 3:
            raise RuntimeError("the machine is gone")
for name, notes, changes in (
    ("none", Notes(), {}),
    ("fsdp", Notes(), {"sharding": "fsdp"}),
    ("dies", Dies(), {"checkpoint_every": 2}),
):
    if os.environ["RANK"] == "0":
        print(f"<{name}>", file=sys.stderr, flush=True)
    align(replace(config, **changes), DamaOfScores(), notes, Path(out) / name, hardness=None, resume=False)
"""


@dataclass(frozen=True)
class Launch:
    """What two processes over gloo made: a folder for each run, and what they wrote."""

    folder: Path
    returncode: int
    stderr: str

    def said(self, name: str) -> str:
        """What the run ``name`` wrote to stderr."""
        return self.stderr.partition(f"<{name}>")[2].partition("\n<")[0]  # what follows is of the next run


@pytest.fixture(scope="module")
def two(llava: Path, pairs_file: Path, session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """All runs by one launch of two processes; the last one dies."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(folder / "worker.py"), str(llava), str(pairs_file), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DAMA_HOME": str(session_home)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return Launch(folder, done.returncode, done.stderr)


@pytest.mark.slow
def test_two_processes_equal_one(bench: Bench, two: Launch) -> None:
    one = bench.run(DamaOfScores(), "one")
    assert "<dies>" in two.stderr, two.stderr[-3000:]
    for sharding in ("none", "fsdp"):
        assert "DDP" not in two.said(sharding), "torch warns of a search for unused parameters that finds none"
        assert distance(one, AlignResult(two.folder / sharding / "model", 4, {})) < 1e-6


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_job_and_one_process_resumes_from_two(bench: Bench, two: Launch) -> None:
    assert two.returncode != 0 and "the machine is gone" in two.said("dies")
    notes = Notes()
    resumed = Bench(bench.base, two.folder).run(
        DamaOfScores(), "dies", notes, resume=True, micro_batch=4, checkpoint_every=2
    )
    assert sorted(notes.steps) == [3, 4]
    assert distance(bench.run(DamaOfScores(), "one"), resumed) < 1e-6
