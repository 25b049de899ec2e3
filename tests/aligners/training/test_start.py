"""Training that starts from a model with adapters: the start is the reference, and what was trained is what answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import Module

from aligners.dpo import Dpo
from aligners.pairs.data import load_pairs
from aligners.pairs.encoding import Encoder
from aligners.pairs.reference import ReferenceModel
from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult
from harness.errors import HarnessError, UsageError
from harness.models.loading import load
from harness.models.sources import composition
from harness.models.weights import weights_identity
from tests.aligners.training.runs import Bench, Notes, distance, weights

CPU = torch.device("cpu")


def margins(target: str, data: str, dtype: str) -> Tensor:
    """Log-probability of chosen minus rejected, of every pair, under a model loaded from its files as bench does."""
    base, adapters = composition(target)
    loaded = load(base, device=CPU, named=target, dtype=dtype, adapters=adapters)
    model = ReferenceModel(
        loaded.model, Encoder(loaded.prompts, 512), route="shared", dtype=dtype, device=CPU, micro_batch=16
    )
    sums = model.logprobs(load_pairs(data).pairs)[0].sums
    return sums[:, 0] - sums[:, 1]


def gaps(notes: Notes, step: int) -> Tensor:
    return torch.tensor([gap for _, gap in notes.gaps[step, "train"]], dtype=torch.float64)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def begun(
    request: pytest.FixtureRequest,
    llava: Path,
    pairs_file: Path,
    session_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Bench, AlignResult, AlignResult]]:
    """An adapter, and another that was trained on top of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAMA_HOME", str(session_home))
        config = AlignConfig(
            model=str(llava), data=str(pairs_file), lr=2e-2, micro_batch=16, checkpoint_every=0, device="cpu",
            lora_rank=4, dtype=request.param,
        )  # fmt: skip
        bench = Bench(config, tmp_path_factory.mktemp("chain"))
        sft = bench.run(Dpo(), "sft")
        yield bench, sft, bench.run(Dpo(), "dpo", model=str(sft.model_dir), lora_rank=2)


@pytest.mark.parametrize("last", ["stack", "continue", "full"])
def test_a_chain_of_runs_answers_as_it_was_trained(begun: tuple[Bench, AlignResult, AlignResult], last: str) -> None:
    """Each run starts at the one before, and its files give the model that was trained."""
    bench, sft, dpo = begun
    changes: dict[str, dict[str, Any]] = {
        "stack": {},
        "continue": {"adapter_start": "continue", "lora_rank": 2},
        "full": {"lora_rank": 0, "lr": 2e-3},
    }
    below, notes = str(dpo.model_dir), Notes()
    result = bench.run(Dpo(), last, notes, model=below, **changes[last])
    top = str(result.model_dir)
    above = {"stack": (str(sft.model_dir), below, top), "continue": (str(sft.model_dir), top), "full": ()}[last]
    assert composition(top) == (top if last == "full" else bench.base.model, above)
    assert gaps(notes, 0).abs().max() < 1e-3, "before its first step a run is its reference"
    dtype = bench.base.dtype
    if last == "full" and dtype == "bfloat16":
        return  # saved in float32 and computed in bfloat16
    expected = gaps(notes, result.steps)
    found = margins(top, bench.base.data, dtype) - margins(below, bench.base.data, dtype)
    assert expected.abs().max() > 1
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_first_weights_of_an_adapter_depend_on_the_seed_alone(bench: Bench) -> None:
    runs = []
    for name, seed, disturbed in (("one", 0, 1), ("two", 0, 2), ("three", 1, 3)):
        torch.manual_seed(disturbed)
        runs.append(bench.run(Dpo(), name, lora_rank=4, epochs=1, lr=1e-3, seed=seed))
    assert distance(runs[0], runs[1]) == 0
    assert distance(runs[0], runs[2]) > 0.1


def test_an_adapter_is_saved_without_those_below_it(begun: tuple[Bench, AlignResult, AlignResult]) -> None:
    bench, sft, dpo = begun
    assert weights(sft).keys() == weights(dpo).keys()
    assert {len(tensor) for name, tensor in weights(dpo).items() if "lora_A" in name} == {2}
    said = json.loads((dpo.model_dir / "start.json").read_text())
    below = [weights_identity(part) for part in (bench.base.model, str(sft.model_dir))]
    assert said == {"base": bench.base.model, "adapters": [str(sft.model_dir)], "weights": below}
    assert json.loads((sft.model_dir / "start.json").read_text())["weights"] == below[:1]


def test_an_adapter_is_trained_further_as_it_is(begun: tuple[Bench, AlignResult, AlignResult]) -> None:
    bench, sft, _ = begun
    with pytest.raises(UsageError, match="is no adapter"):
        bench.run(Dpo(), "x", adapter_start="continue")
    with pytest.raises(UsageError, match="give lora_rank=4 and lora_alpha=32"):
        bench.run(Dpo(), "x", model=str(sft.model_dir), adapter_start="continue", lora_rank=8)
    with pytest.raises(UsageError, match="set lora_rank to that of the adapter"):
        dataclasses.replace(bench.base, lora_rank=0, adapter_start="continue")


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_run_that_changed_nothing_is_no_finished_run(bench: Bench, lora_rank: int) -> None:
    with pytest.raises(HarnessError, match="are those it started from: nothing was learned"):
        bench.run(Dpo(), "still", epochs=1, lr=1e-60, lora_rank=lora_rank)


def test_weights_that_are_not_finite_are_no_finished_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from aligners.training.trainer import PreferenceTrainer

    def broken(trainer: PreferenceTrainer, folder: str) -> None:
        with torch.no_grad():
            next(p for p in cast(Module, trainer.model).parameters() if p.requires_grad).fill_(float("nan"))
        saved(trainer, folder)

    saved = PreferenceTrainer.save_model
    monkeypatch.setattr(PreferenceTrainer, "save_model", broken)
    with pytest.raises(HarnessError, match=r"is not finite\. Lower lr"):
        bench.run(Dpo(), "nan", epochs=1)
