"""The probe: the contract's input and output, and errors that name the field."""

from __future__ import annotations

import math
from typing import Any

import pytest

from aligners.objective import ALIGNERS
from aligners.objective_step import objective_step
from harness.errors import UsageError
from harness.util.options import build


def run(method: str, payload: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return objective_step(build(ALIGNERS.get(method), settings, f"aligner {method}"), payload)


def payload(gaps: list[float], **more: Any) -> dict[str, Any]:
    zeros = [0.0] * len(gaps)
    return {
        "policy_chosen": gaps,
        "policy_rejected": zeros,
        "ref_chosen": zeros,
        "ref_rejected": zeros,
        "state": None,
        "seed": 0,
    } | more


def test_dpo_at_the_reference_costs_log_two() -> None:
    out = run("dpo", payload([0.0, 0.0]))
    assert out == {
        "beta": [0.1, 0.1],
        "loss_per_pair": pytest.approx([math.log(2)] * 2),
        "kept": [True, True],
        "loss": pytest.approx(math.log(2)),
        "state": {},
    }


def test_the_loss_is_the_mean_over_the_kept_and_the_state_moves() -> None:
    out = run("gap", payload([1, 2, 3, 4, -100], state={"r_bar": 0.5}))
    assert out["kept"] == [True] * 4 + [False]
    assert out["loss"] == pytest.approx(sum(out["loss_per_pair"][:4]) / 4, rel=1e-14)
    assert out["state"] == {"r_bar": pytest.approx(0.7, rel=1e-14)}


def test_the_seed_decides_the_draw_of_the_code_variant() -> None:
    gaps = [0.1 * i for i in range(20)]
    first, again = (run("gap", payload(gaps, seed=3), variant="code") for _ in range(2))
    assert first == again
    assert any(run("gap", payload(gaps, seed=s), variant="code")["kept"] != first["kept"] for s in range(9))


def test_ipo_takes_lengths() -> None:
    out = run("ipo", payload([4.0], chosen_length=[2], rejected_length=[5]))
    assert out["loss"] == pytest.approx((2 - 5) ** 2)
    assert run("ipo", payload([4.0]))["loss"] == pytest.approx((4 - 5) ** 2)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ref_chosen": None}, "ref_chosen is missing"),
        ({"delta": None}, "delta is missing"),
        ({"delta": [0.0]}, "delta has 1 numbers"),
        ({"delta_mean": None}, "delta_mean is missing"),
        ({"delta": [0.0, math.nan]}, r"delta\[1\]"),
        ({"delta": [0.0, "x"]}, r"delta\[1\]"),
        ({"policy_chosen": []}, "policy_chosen"),
        ({"policy_chosen": 3.0}, "policy_chosen"),
        ({"state": 3}, "state"),
        ({"state": {"r_bar": math.inf}}, "state.r_bar"),
        ({"seed": 0.5}, "seed"),
        ({"progress": 1.0}, "progress"),
        ({"chosen_length": [1, 0]}, "chosen_length"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], named: str) -> None:
    good = payload([1.0, 2.0], delta=[0.0, 0.1], delta_mean=0.05)
    run("dama", good)
    with pytest.raises(UsageError, match=named):
        run("dama", good | changes)


def test_hardness_fields_are_not_asked_of_objectives_that_do_not_use_them() -> None:
    assert run("gap", payload([1.0, 2.0]))["kept"] == [True, False]
