"""Which process of how many: what torchrun sets is read, hidden, and given back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.util.distributed import VARIABLES, alone, launched, local_rank, rank_and_world_size

ROOT = Path(__file__).parents[3]


def test_without_a_launcher_this_is_the_only_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert (rank_and_world_size(), local_rank(), launched()) == ((0, 1), 0, False)


def test_the_launchers_variables_are_read_and_hidden_within_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("2", "4", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert (rank_and_world_size(), local_rank(), launched()) == ((2, 4), 1, True)
    with pytest.raises(KeyError), alone():
        assert (rank_and_world_size(), local_rank(), launched()) == ((0, 1), 0, False)
        raise KeyError
    assert rank_and_world_size() == (2, 4)


@pytest.mark.slow
def test_torchrun_gives_every_process_its_own_rank(tmp_path: Path) -> None:
    script = tmp_path / "which.py"
    script.write_text(
        "from pathlib import Path\n"
        "from harness.util.distributed import launched, local_rank, rank_and_world_size\n"
        "rank, world = rank_and_world_size()\n"
        "Path(__file__).with_name(f'{rank}.txt').write_text(f'{rank} {world} {local_rank()} {launched()}')\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True, timeout=120)
    assert [(tmp_path / f"{rank}.txt").read_text() for rank in range(2)] == ["0 2 0 True", "1 2 1 True"]
