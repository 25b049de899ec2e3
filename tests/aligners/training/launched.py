"""Runs in several processes, one after the other in one launch: python -m torch.distributed.run ... launched SPEC OUT.

SPEC is a JSON list. A run has the fields of an AlignConfig in ``set``, a ``method`` and the ``folder`` that it writes
to, or the words of a command line in ``command``. OUT gets a JSON list of what came of each. The
checkpoint ``without`` is removed before a run resumes: it does so from an earlier one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aligners.objective import Objective

ROOT = Path(__file__).parents[3]
Run = Mapping[str, Any]


def launch(
    runs: Sequence[Run], folder: Path, home: Path, *, processes: int = 2, timeout: float = 400
) -> list[dict[str, Any]]:
    """What came of ``runs`` in so many real processes over gloo, in files of ``folder``."""
    spec, out = folder / f"runs-{processes}.json", folder / f"out-{processes}.json"
    spec.write_text(json.dumps(runs))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DAMA_HOME": str(home)}
    done = subprocess.run(
        [*command, "-m", "tests.aligners.training.launched", str(spec), str(out)],
        env=environment, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    came: list[dict[str, Any]] = json.loads(out.read_text())
    return came


def one_run(run: Run) -> dict[str, Any]:
    """Losses by step and the reward gaps before the first; or the error, or a command's exit code and output."""
    from click.testing import CliRunner

    from aligners.training.checkpoints import remove_checkpoint
    from aligners.training.config import AlignConfig
    from aligners.training.pipeline import align
    from cli import cli
    from harness.errors import HarnessError
    from tests.aligners.training.runs import Notes

    if "command" in run:
        done = CliRunner().invoke(cli, run["command"])
        return {"exit": done.exit_code, "out": done.stdout, "error": f"{done.stderr[-2000:]} {done.exception}"}
    notes = Notes()
    if "without" in run and os.environ["RANK"] == "0":
        remove_checkpoint(Path(run["folder"]) / run["without"])
    try:
        align(
            AlignConfig(**run["set"]), objective(run["method"]), notes, Path(run["folder"]), hardness=None,
            resume=run.get("resume", False), probe=run.get("probe", False),
        )  # fmt: skip
    except HarnessError as error:
        return {"error": str(error)}
    first = notes.gaps.get((0, "train"), [])
    losses = {step: metrics["loss"] for step, metrics in notes.steps.items()}
    return {"losses": losses, "gaps": [gap for _, gap in first], "route": notes.info.get("route")}


def objective(method: str) -> Objective:
    """DPO, or Dama with the hardness of its place in the step for each pair."""
    from aligners.dpo import Dpo
    from tests.aligners.training.runs import DamaOfScores

    return DamaOfScores() if method == "dama" else Dpo()


if __name__ == "__main__":
    results = [one_run(run) for run in json.loads(Path(sys.argv[1]).read_text())]
    if os.environ["RANK"] == "0":
        Path(sys.argv[2]).write_text(json.dumps(results))
