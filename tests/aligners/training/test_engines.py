"""The sweep over engines: one and two processes, DPO and Dama, LoRA and full, interrupted and on other ranks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult
from tests.aligners.training.launched import launch
from tests.aligners.training.runs import distance, weights

pytestmark = [pytest.mark.cluster, pytest.mark.needs("deepspeed")]
ENGINES = ("none", "fsdp", "zero2", "zero3")
KINDS: Mapping[str, Mapping[str, Any]] = {
    "full dama": {"method": "dama", "set": {}},
    "lora dpo": {"method": "dpo", "set": {"lora_rank": 4}},
}


def run(base: Mapping[str, Any], folder: Path, name: str, kind: str, engine: str, **more: Any) -> dict[str, Any]:
    of_kind = KINDS[kind]
    settings = {**base, **of_kind["set"], "sharding": engine, **more.pop("set", {})}
    return {"method": of_kind["method"], "folder": str(folder / name), "set": settings, **more}


@pytest.fixture(scope="module")
def base(llava: Path, pairs_file: Path) -> dict[str, Any]:
    config = AlignConfig(
        model=str(llava), data=str(pairs_file), epochs=2, lr=2e-3, micro_batch=4, checkpoint_every=0, device="cpu",
        warmup=0.25, dtype="float32",
    )  # fmt: skip
    settings = dataclasses.asdict(config)
    del settings["prompt"]
    return settings


@pytest.fixture(scope="module")
def folder(base: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind under every engine on two processes, whole and resumed from step 2; then on one process."""
    folder = tmp_path_factory.mktemp("engines")
    two = [run(base, folder, f"{kind} {engine} 2", kind, engine) for kind in KINDS for engine in ENGINES]
    for engine in ENGINES[1:]:
        for kind in KINDS:
            saved = {"set": {"checkpoint_every": 2}}
            for part in ({}, {"resume": True, "without": "checkpoint-4"}):
                two.append(run(base, folder, f"{kind} {engine} resumed", kind, engine, **saved, **part))
        two.append(run(base, folder, f"{engine} half", "full dama", engine, set={"checkpoint_every": 2}))
    came = launch(two, folder, folder / "home", timeout=1500)
    assert not [each for each in came if "error" in each], came
    one = [run(base, folder, f"{kind} {engine} 1", kind, engine) for kind in KINDS for engine in ENGINES]
    assert not [each for each in launch(one, folder, folder / "home", processes=1, timeout=1500) if "error" in each]
    return folder


def result(folder: Path, name: str) -> AlignResult:
    return AlignResult(folder / name / "model", 4, {})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_one_and_two_processes_under_an_engine_equal_one_without(folder: Path, kind: str, engine: str) -> None:
    for processes in (1, 2):
        name = f"{kind} {engine} {processes}"
        assert distance(result(folder, f"{kind} none 1"), result(folder, name)) < 1e-6, name


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_stopped_ends_as_one_that_was_not(folder: Path, kind: str, engine: str) -> None:
    assert distance(result(folder, f"{kind} {engine} 2"), result(folder, f"{kind} {engine} resumed")) < 1e-6


def test_another_number_of_processes_resumes_under_fsdp_and_is_refused_under_zero(
    base: dict[str, Any], folder: Path
) -> None:
    again = {"set": {"checkpoint_every": 2}, "resume": True, "without": "checkpoint-4"}
    runs = [run(base, folder, f"{engine} half", "full dama", engine, **again) for engine in ENGINES[1:]]
    fsdp, zero2, zero3 = launch(runs, folder, folder / "home", processes=1)
    assert set(fsdp["losses"]) == {"3", "4"}
    assert distance(result(folder, "full dama none 1"), result(folder, "fsdp half")) < 1e-6
    for stage, came in ((2, zero2), (3, zero3)):
        assert f"saved with sharding=zero{stage} over 2 processes, which cannot be read with" in came["error"]
        assert "Resume as it was saved, or start over with --fresh" in came["error"]


def test_lora_in_bfloat16_computes_with_the_same_weights_under_every_engine(
    base: dict[str, Any], tmp_path: Path
) -> None:
    half = {"dtype": "bfloat16"}
    runs = [run(base, tmp_path, f"half {engine}", "lora dpo", engine, set=half) for engine in ENGINES]
    came = [of_engine["losses"] for of_engine in launch(runs, tmp_path, tmp_path / "home")]
    plain = weights(result(tmp_path, "half none"))
    moved = [name for name in plain if "lora_B" in name]  # from 0
    size = sum(float(plain[name].square().sum()) for name in moved)
    for engine, losses in zip(ENGINES, came, strict=True):
        until_third = [losses[step] for step in "123"]  # the first that an update has changed; 4.6e-4 off in float32
        assert until_third == pytest.approx([came[0][step] for step in "123"], abs=1e-6), engine
        own = weights(result(tmp_path, f"half {engine}"))
        apart = sum(float((own[name] - plain[name]).square().sum()) for name in moved)
        assert size > 0 and (apart / size) ** 0.5 < 0.01, engine
