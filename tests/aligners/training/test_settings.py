"""The settings of a training: ranges, the default learning rate, and a schedule in which every short run trains."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from transformers import get_scheduler

from aligners.objective import ALIGNERS
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.training.arguments import warmup_steps
from aligners.training.base_model import compute_dtype
from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.protocols.benchmark import Decoding
from harness.util.options import build


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -5e-7}, r"align: lr=-5e-07: expected a number above 0"),
        ({"warmup": 10.0}, r"align: warmup=10.0: expected a number from 0 to 1 \(share of the steps\)"),
        ({"weight_decay": float("nan")}, r"align: weight_decay=nan: expected a number of at least 0"),
        ({"max_grad_norm": float("inf")}, r"align: max_grad_norm=inf"),
        ({"batch_size": 0}, r"align: batch_size=0: expected a whole number of at least 1 \(pairs\)"),
        ({"lr": 5e-8, "scheduler": "polynomial"}, r"align: lr=5e-08: expected more than 1e-07"),
        ({"seed": -1}, r"align: seed=-1"),
        ({"merge": True}, r"align: merge=true needs LoRA on a base that is not quantized"),
        ({"merge": True, "lora_rank": 4, "sharding": "fsdp"}, r"sharding=fsdp leaves each .* export-model RUN --merge"),
        (
            {"merge": True, "lora_rank": 4, "sharding": "zero3"},
            r"sharding=zero3 leaves each .* export-model RUN --merge",
        ),
        ({"device": "gpu"}, r"align: device=gpu: expected auto, cpu, cuda"),
    ],
)
def test_a_bad_value_is_refused_when_settings_are_made(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AlignConfig(model="m", data="d", **settings)


def test_lora_has_a_learning_rate_of_its_own_and_the_record_shows_the_number() -> None:
    assert AlignConfig(model="m", data="d").lr == 5e-7
    assert AlignConfig(model="m", data="d", lora_rank=8).lr == 5e-6
    assert AlignConfig(model="m", data="d", lora_rank=8, lr=1e-4).lr == 1e-4


def rates(steps: int, warmup: float = 0.1) -> list[float]:
    """The factor of the learning rate in each optimiser step, by transformers' own schedule."""
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_scheduler(
        "cosine", optimiser, num_warmup_steps=warmup_steps(warmup, steps), num_training_steps=steps
    )
    seen = []
    for _ in range(steps):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return seen


def test_the_steps_of_a_short_run_all_train() -> None:
    """Half a cosine over n steps is (1 + cos(pi i / n)) / 2 in step i."""
    assert rates(1) == pytest.approx([1.0])
    assert rates(2) == pytest.approx([1.0, 0.5])
    assert rates(3) == pytest.approx([1.0, 0.75, 0.25])
    assert rates(1, warmup=1.0) == pytest.approx([1.0])


def test_a_longer_run_warms_up_from_0() -> None:
    """A tenth of 20 steps is 2: the factors 0 and 1/2, then the cosine over the other 18."""
    assert rates(20)[:3] == pytest.approx([0.0, 0.5, 1.0])
    assert warmup_steps(0.1, 225) == 23, "as stored runs of the embedded world have it"


def float_settings() -> list[tuple[type[Any], dict[str, str], str]]:
    kinds: list[tuple[type[Any], dict[str, str]]] = [(AlignConfig, {"model": "m", "data": "d"}), (HardnessConfig, {})]
    kinds += [(Decoding, {}), *((ALIGNERS.get(name), {}) for name in ALIGNERS.names())]
    return [
        (kind, needed, field.name)
        for kind, needed in kinds
        for field in dataclasses.fields(kind)
        if field.init and "float" in str(field.type)
    ]


def test_no_setting_that_is_a_number_takes_nan_or_an_infinity() -> None:
    found = float_settings()
    assert {"lr", "weight_decay", "beta", "temperature"} <= {name for _, _, name in found} and len(found) > 20
    for kind, needed, name in found:
        for value in (float("nan"), float("inf"), float("-inf"), "nan", ".inf"):
            with pytest.raises(UsageError, match=name):
                build(kind, {**needed, name: value}, "settings")


def test_bfloat16_is_chosen_where_the_gpu_has_it_and_not_where_it_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch says of cards before Ampere that they support it: several times slower than float32."""
    config, gpu = AlignConfig(model="m", data="d"), torch.device("cuda")
    for hardware, chosen in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=hardware: has or including_emulation
        )
        assert compute_dtype(config, gpu) == chosen
    assert compute_dtype(config, torch.device("cpu")) == "float32"
