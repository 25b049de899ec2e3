"""`accelerate launch` starts the processes of an alignment as torchrun does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aligners.dpo import Dpo
from aligners.training.pipeline import AlignResult
from harness.store import Store
from harness.util.torchvision_shim import write_startup
from tests.aligners.training.runs import Bench, distance
from tests.house import ROOT

FSDP2 = ["--config_file", "recipes/accelerate_fsdp2.yaml"]


@pytest.mark.cluster
@pytest.mark.parametrize(("launcher", "sharding"), [(["--cpu"], "none"), (FSDP2, "fsdp")], ids=["ddp", "fsdp2"])
def test_two_processes_of_accelerate_launch_equal_one(
    bench: Bench, tmp_path: Path, launcher: list[str], sharding: str
) -> None:
    one = bench.run(Dpo(), "one")
    path = [str(ROOT)]
    if write_startup(tmp_path) is not None:  # as `make install` puts it into the environment
        (tmp_path / "sitecustomize.py").write_text(f"import site; site.addsitedir({str(tmp_path)!r})")
        path.append(str(tmp_path))
    options = ["epochs=2", "lr=2e-3", "checkpoint_every=0", "warmup=0.25", "device=cpu", f"sharding={sharding}"]
    command = [str(Path(sys.executable).parent / "accelerate"), "launch", *launcher, "--num_processes", "2"]
    command += [
        "--main_process_port",
        "0",
        "cli.py",
        "align",
        "--method",
        "dpo",
        "--model",
        bench.base.model,
        "--data",
        bench.base.data,
    ]
    command += ["--db", str(tmp_path / "r.sqlite"), *(word for option in options for word in ("--set", option))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    (run,) = Store(tmp_path / "r.sqlite").alignments()
    assert run.status == "done"
    assert distance(one, AlignResult(Path(run.model_dir), 4, {})) < 1e-6
