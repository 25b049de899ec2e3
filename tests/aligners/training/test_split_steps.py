"""One step however it is split: micro-batches, rows and processes choose the same pairs and give the same weights."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest

from aligners.beta_dpo import BetaDpo
from aligners.dama import Dama
from aligners.gap import Gap
from aligners.objective import Objective
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.pairs.forward import response_logprobs
from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult, align
from harness.util.distributed import rank_and_world_size
from tests.aligners.training.runs import Notes, distance
from tests.house import ROOT
from tests.test_align_recipe import tiny_clip
from tests.tiny import tiny_pairs

STEPS = 3


class Keeping:
    """Which pairs of every step counted, in the order of the data set."""

    kept: ClassVar[list[list[bool]]] = []

    def compute_weights(self, step: Any, state: Any) -> Any:
        weights, after = super().compute_weights(step, state)  # type: ignore[misc]
        Keeping.kept.append(weights.kept.tolist())
        return weights, after


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeepingGap(Keeping, Gap):
    """gap, with what it kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeepingBetaDpo(Keeping, BetaDpo):
    """beta-dpo, with what it kept."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeepingDama(Keeping, Dama):
    """dama, with what it kept."""


OBJECTIVES: dict[str, Objective] = {"gap": KeepingGap(), "beta-dpo": KeepingBetaDpo(), "dama": KeepingDama()}


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run kept in every step, the pairs that this process computed by (with a graph, in one step or probes),
    and its model.
    """

    kept: list[list[bool]]
    forwards: dict[str, int]
    folder: str

    @property
    def result(self) -> AlignResult:
        return AlignResult(Path(self.folder) / "model", STEPS, {})


def run(name: str, model: str, data: str, clip: str, out: Path, **changes: Any) -> Run:
    """Three steps of sixteen pairs, the first at the full learning rate; hardness where the objective needs it."""
    settings = {"batch_size": 16, "lr": 2e-3, "warmup": 0.0, "device": "cpu", "probe_every": 0, "checkpoint_every": 0}
    config = AlignConfig(model=model, data=data, **{**settings, **changes})
    Keeping.kept = []
    forwards = {"trained": 0, "measured": 0}

    def counting(model: Any, pairs: Any, *given: Any, **more: Any) -> Any:
        out = response_logprobs(model, pairs, *given, **more)
        forwards["trained" if out.chosen.requires_grad else "measured"] += len(pairs)
        return out

    with mock.patch("aligners.training.trainer.response_logprobs", counting):
        hardness = HardnessConfig(clip=clip) if "hardness" in OBJECTIVES[name].needs else None
        align(config, OBJECTIVES[name], Notes(), out, hardness=hardness, resume=False)
    return Run(Keeping.kept, forwards, str(out))


SPLITS = {
    "one pass": ("gap", 8), "two passes": ("gap", 2), "beta-dpo": ("beta-dpo", 2),
    "dama": ("dama", 2), "dama in one pass": ("dama", 8),
}  # fmt: skip
"""What two processes do in one launch: an objective and its micro-batch."""


def main(model: str, data: str, clip: str, out: str) -> None:
    """The worker: every split, and what it found in a file of its rank."""
    found = {
        split: dataclasses.asdict(run(name, model, data, clip, Path(out) / split, micro_batch=micro))
        for split, (name, micro) in SPLITS.items()
    }
    (Path(out) / f"{rank_and_world_size()[0]}.json").write_text(json.dumps(found))


@pytest.fixture(scope="module")
def inputs(llava: Path, tmp_path_factory: pytest.TempPathFactory, session_home: Path) -> Iterator[tuple[str, str, str]]:
    """A tiny model, a tiny CLIP, and 48 pairs whose responses have from 4 to 100 words: most rows of a
    micro-batch are padded."""
    folder = tmp_path_factory.mktemp("split")
    file = tiny_pairs(folder, count=16 * STEPS)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    long = [{**row, "chosen": " ".join([row["chosen"]] * (1 + 5 * i % 13))} for i, row in enumerate(rows)]
    file.write_text("".join(json.dumps(row) + "\n" for row in long))
    with mock.patch.dict(os.environ, DAMA_HOME=str(session_home)):
        yield str(llava), str(file), tiny_clip(folder / "clip")


@pytest.fixture(scope="module")
def whole(inputs: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """The step in one micro-batch of one process."""
    out = tmp_path_factory.mktemp("whole")
    return {name: run(name, *inputs, out / name, micro_batch=16) for name in OBJECTIVES}


@pytest.mark.parametrize("name", ["gap", "dama"])
@pytest.mark.parametrize(("micro", "route"), [(2, "shared"), (8, "plain")])
def test_micro_batches_and_rows_choose_the_same_pairs_from_the_first_step(
    inputs: tuple[str, str, str], whole: dict[str, Run], tmp_path: Path, name: str, micro: int, route: str
) -> None:
    found = run(name, *inputs, tmp_path / "split", micro_batch=micro, route=route)
    assert found.kept == whole[name].kept and len(found.kept) == STEPS
    assert found.kept[0] == [True] * 12 + [False] * 4, "before the first step all gaps are 0: the first count"
    assert found.forwards["trained"] == STEPS * 12, "those that are dropped are left out of the second pass"
    assert distance(found.result, whole[name].result) < 1e-5


@pytest.mark.slow
def test_two_processes_choose_the_same_pairs_and_share_the_work(
    inputs: tuple[str, str, str], whole: dict[str, Run], tmp_path: Path
) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text("import sys\nfrom tests.aligners.training.test_split_steps import main\nmain(*sys.argv[1:])\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(worker)]
    done = subprocess.run(
        [*command, *inputs, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for split, (name, _) in SPLITS.items():
        first, second = (Run(**found[split]) for found in ranks)
        assert first.kept == second.kept == whole[name].kept, split
        assert distance(first.result, whole[name].result) < 1e-5, split
        probes, read = 2 * 48 // 2, STEPS * 8
        one_pass = SPLITS[split][1] == 8
        trained = [each.forwards["trained"] for each in (first, second)]
        assert sum(trained) == STEPS * (16 if one_pass else 12), f"{split}: no pair is computed twice"
        assert max(trained) <= STEPS * (8 if one_pass else 7), f"{split}: about half of those that count, by tokens"
        for each in (first, second):
            assert each.forwards["measured"] == probes + (0 if one_pass else read), f"{split}: half of the probes"
