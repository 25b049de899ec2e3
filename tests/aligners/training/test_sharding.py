"""Engines that spread a model over processes train what one process trains, from the same start."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from aligners.training.arguments import training_arguments
from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult, align
from harness.errors import UsageError
from harness.store import Store
from tests.aligners.training.launched import launch
from tests.aligners.training.runs import DamaOfScores, Notes, distance, weights
from tests.test_align_recipe import RECIPE, rlaif_v, tiny_clip
from tests.tiny import tiny_llava

DEEPSPEED = importlib.util.find_spec("deepspeed") is not None
ENGINES = ["fsdp", *(["zero2", "zero3"] if DEEPSPEED else [])]
SHARDINGS = [
    "fsdp",
    pytest.param("zero2", marks=pytest.mark.needs("deepspeed")),
    pytest.param("zero3", marks=pytest.mark.needs("deepspeed")),
]
FLAGSHIP = ["none", "fsdp", pytest.param("zero3", marks=pytest.mark.needs("deepspeed"))]
IN_HALF = {"none": 0.0, "zero3": 0.05, "fsdp": 0.5}
"""How far from the unsharded run's the recipe's weights may end in bfloat16, as a share of the way they moved (root of
mean squares). Five steps of 5e-7 are so few that AdamW still divides rounding by rounding; under FSDP norms and the
stream between layers are bfloat16 too."""


@dataclasses.dataclass(frozen=True)
class Launched:
    """What came of one launch: the training of each engine, and the recipe's by the command line."""

    folder: Path
    one: AlignResult
    came: dict[str, dict[str, Any]]

    def result(self, name: str) -> AlignResult:
        return AlignResult(self.folder / name / "model", 4, {})


@pytest.fixture(scope="module")
def done(llava: Path, pairs_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Launched:
    folder = tmp_path_factory.mktemp("launched")
    base = AlignConfig(
        model=str(llava), data=str(pairs_file), epochs=2, lr=2e-3, micro_batch=4, checkpoint_every=0, device="cpu",
        warmup=0.25,
    )  # fmt: skip
    model, data, clip = tiny_llava(folder / "model"), rlaif_v(folder), tiny_clip(folder / "clip")
    given = {"model": model, "data": data, "clip": clip, "device": "cpu"}
    runs: dict[str, dict[str, Any]] = {}
    command = ["align", "--method", "dama", "--recipe", str(RECIPE), "--db", str(folder / "r.sqlite"), "--json"]
    for engine in ENGINES:
        settings = {**dataclasses.asdict(base), "sharding": engine}
        del settings["prompt"]
        runs[engine] = {"set": settings, "method": "dama", "folder": str(folder / engine), "probe": engine == "fsdp"}
    adapter = {**runs["fsdp"]["set"], "lora_rank": 4, "gradient_checkpointing": True}
    runs["adapter"] = {"set": adapter, "method": "dama", "folder": str(folder / "adapter")}
    for engine in ["none", *(each for each in ENGINES if each != "zero2")]:
        words = [f"{name}={value}" for name, value in given.items()]
        words += [] if engine == "zero3" else [f"sharding={engine}"]  # the recipe's own
        sets = [word for each in words for word in ("--set", each)]
        runs[f"recipe {engine}"] = {"command": [*command, "--name", engine, *sets]}
    came = launch([*runs.values()], folder, folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAMA_HOME", str(folder / "home"))
        one, _ = (
            align(config, DamaOfScores(), Notes(), folder / name, hardness=None, resume=False)
            for name, config in {"one": base, "one adapter": dataclasses.replace(base, lora_rank=4)}.items()
        )
    return Launched(folder, one, dict(zip(runs, came, strict=True)))


@pytest.mark.slow
@pytest.mark.parametrize("sharding", SHARDINGS)
def test_two_processes_equal_one_under_every_engine(done: Launched, sharding: str) -> None:
    came = done.came[sharding]
    assert len(came["losses"]) == 4, came
    assert max(map(abs, came["gaps"])) < 1e-5, "before the first step the policy is the reference"
    assert came["route"].startswith("shared prefix (sdpa attention; a pair with an image run both ways differs by")
    assert distance(done.one, done.result(sharding)) < 1e-6


@pytest.mark.slow
def test_an_adapter_whose_layers_run_again_under_fsdp_equals_one_that_runs_once(done: Launched) -> None:
    """On two processes, with gradient_checkpointing; in one without. Two layers with 7 linear ones: 28 matrices."""
    assert len(done.came["adapter"]["losses"]) == 4, done.came["adapter"]
    assert len(weights(done.result("adapter"))) == 28
    assert distance(done.result("one adapter"), done.result("adapter")) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("sharding", FLAGSHIP)
def test_the_flagship_recipe_trains_in_bfloat16_over_two_processes(done: Launched, sharding: str) -> None:
    came = done.came[f"recipe {sharding}"]
    assert came["exit"] == 0, came["error"]
    made = json.loads(came["out"])
    assert made["config"]["sharding"] == sharding and made["config"]["dtype"] == "bfloat16"
    assert made["info"]["processes"] == 2 and made["step"] == 5
    gaps = torch.tensor([row[3] for row in Store(done.folder / "r.sqlite").gaps(sharding) if row[0] == 0])
    assert len(gaps) == 20 and gaps.square().mean().sqrt() <= 0.005, "nats, root of mean squares"
    start = weights(AlignResult(done.folder / "model", 0, {}))
    plain, own = (weights(AlignResult(Path(json.loads(done.came[f"recipe {each}"]["out"])["model_dir"]), 5, {}))
                  for each in ("none", sharding))  # fmt: skip
    assert own.keys() == plain.keys() == start.keys()
    apart, moved = (
        sum(float((own_or_start[name] - plain[name]).square().sum()) for name in plain) for own_or_start in (own, start)
    )
    assert moved > 0 and (apart / moved) ** 0.5 <= IN_HALF[sharding]


def test_a_sharded_run_of_one_process_alone_is_refused(llava: Path, pairs_file: Path, tmp_path: Path) -> None:
    config = AlignConfig(model=str(llava), data=str(pairs_file), sharding="zero3", device="cpu")
    with pytest.raises(UsageError, match=r"this is one alone\. Start it with torchrun .* or --set sharding=none"):
        training_arguments(config, tmp_path, 1)


def test_the_launchers_engine_must_be_the_settings(
    llava: Path, pairs_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    config = AlignConfig(model=str(llava), data=str(pairs_file), device="cpu")
    with pytest.raises(UsageError, match=r"the launcher's configuration has another engine .* Set sharding=fsdp"):
        training_arguments(config, tmp_path, 1)
