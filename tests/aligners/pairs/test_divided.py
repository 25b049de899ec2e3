"""What is done before the first step is divided among processes, and is what one process computes, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aligners.pair_hardness import clip, hardness
from tests.aligners.pairs import divided_run
from tests.aligners.pairs.divided_run import prepared
from tests.test_align_recipe import tiny_clip
from tests.tiny import tiny_pairs

ROOT = Path(__file__).parents[3]
PAIRS = 25
Found = dict[str, Any]


@pytest.fixture(scope="module")
def made(llava: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, list[Found]]:
    """What one process computes, and each of two."""
    folder = tmp_path_factory.mktemp("divided")
    given = (str(llava), str(tiny_pairs(folder / "pairs", PAIRS)), tiny_clip(folder / "clip"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DAMA_HOME": str(folder / "two")}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    two = subprocess.Popen(
        [*launch, divided_run.__file__, *given, str(folder / "found")], env=environment, stderr=subprocess.PIPE
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAMA_HOME", str(folder / "one"))
        for module, name in ((clip, "ClipModel"), (hardness, "make_splitter")):
            patch.setattr(module, name, getattr(module, name))  # put back at the end
        one = prepared(*given)
    said = two.communicate(timeout=300)[1].decode()
    assert two.returncode == 0, said[-3000:]
    return one, [json.loads((folder / f"found.{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_get_what_one_computes(made: tuple[Found, list[Found]]) -> None:
    one, two = made
    for name in ("delta", "record", "tokens", "lengths"):
        assert two[0][name] == two[1][name], name
        assert two[0][name] == one[name], name
    assert one["cached"] == two[0]["cached"] == two[1]["cached"] == [False, True]
    assert one["again"] and two[0]["again"] and two[1]["again"]


@pytest.mark.slow
def test_each_of_two_processes_does_half_of_the_work(made: tuple[Found, list[Found]]) -> None:
    one, two = made
    assert one["images"] == PAIRS and len(one["ran"]) == PAIRS
    assert sum(each["images"] for each in two) <= PAIRS + 4, "batches of 4; the last one perhaps twice"
    for each in two:
        assert each["images"] <= PAIRS / 2 + 4
        assert each["texts"] <= one["texts"] / 2 + 4
        assert len(each["ran"]) <= PAIRS / 2 + 2
        assert sum(each["ran"]) == pytest.approx(sum(one["ran"]) / 2, rel=0.1), "in tokens"


@pytest.mark.slow
def test_what_one_process_cannot_split_is_named_by_all(made: tuple[Found, list[Found]]) -> None:
    assert [each["refused"] for each in made[1]] == ["Pair 5, rejected response: no list"] * 2
