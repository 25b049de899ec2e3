"""Objectives: numbers worked out by hand, and properties that every registered aligner must have."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from aligners.model_aware import keep_closest, keep_sampled, kept_count, kept_weight, model_scale
from aligners.objective import ALIGNERS, Batch, Objective, Step
from aligners.testing import check_aligner
from harness.errors import UsageError
from harness.util.options import build, parse_assignments


def sig(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def make(name: str, **settings: Any) -> Objective:
    return build(ALIGNERS.get(name), settings, f"aligner {name}")


def step(gap: list[float], delta: list[float] | None = None, **changes: Any) -> Step:
    size = len(gap)
    base = Step(
        size=size,
        gap=torch.tensor(gap, dtype=torch.float64),
        delta=torch.tensor(delta or [0.0] * size, dtype=torch.float64),
        delta_mean=0.0482,
        rank=torch.zeros(size, dtype=torch.long),
        progress=0.0,
        rng=torch.Generator().manual_seed(0),
    )
    return replace(base, **changes)


def batch(gap: Tensor) -> Batch:
    zero = torch.zeros_like(gap)
    ones = torch.ones_like(gap)
    return Batch(gap - 5, zero - 5, zero, zero, ones, ones, zero - 6, zero - 6)


FIVE = [1.0, 2.0, 3.0, 4.0, -100.0]


def test_dpo_loss_is_minus_log_sigmoid_of_beta_times_gap() -> None:
    dpo = make("dpo", beta=0.5)
    weights, state = dpo.compute_weights(step([2.0, -4.0]), {})
    losses = dpo.losses(batch(torch.tensor([2.0, -4.0], dtype=torch.float64)), weights.beta)
    assert losses.tolist() == pytest.approx([-math.log(sig(1.0)), -math.log(sig(-2.0))])
    assert weights.weight.tolist() == [0.5, 0.5] and state == {}


def test_hardness_scales_beta_by_sigmoid_of_delta_and_drops_none() -> None:
    weights, _ = make("hardness").compute_weights(step([0.0, 0.0], [1.0, -1.0]), {})
    mean = sig(0.0482)
    assert weights.beta.tolist() == pytest.approx([0.1 * sig(1) / mean, 0.1 * sig(-1) / mean])
    assert weights.kept.all()
    assert weights.metrics["aD_mean"] == pytest.approx(0.5 / mean)


def test_the_rival_of_weights_is_dpo_on_the_pairs_whose_chosen_response_clip_does_not_find_worse() -> None:
    rival = make("hardness", scale="one", drop_below=0.0)
    weights, state = rival.compute_weights(step([0.0] * 4, [0.3, -0.1, 0.0, -0.4]), {})
    assert weights.weight.tolist() == [0.5, 0.0, 0.5, 0.0] and state == {}
    assert weights.beta.tolist() == pytest.approx([0.1] * 4)
    weighted, _ = make("hardness", drop_below=0.0).compute_weights(step([0.0] * 2, [1.0, -1.0]), {})
    assert weighted.beta[0].item() == pytest.approx(0.1 * sig(1) / sig(0.0482)) and not weighted.kept[1]


def test_a_step_all_of_whose_pairs_would_be_dropped_keeps_its_easiest() -> None:
    weights, _ = make("hardness", drop_below=0.0).compute_weights(step([0.0] * 3, [-0.3, -0.1, -0.4]), {})
    assert weights.weight.tolist() == [0.0, 1.0, 0.0]


def test_paper_filter_drops_the_gap_farthest_from_the_running_mean() -> None:
    weights, state = make("gap").compute_weights(step(FIVE), {"r_bar": 0.5})
    assert weights.kept.tolist() == [True, True, True, True, False]
    assert weights.beta.tolist() == pytest.approx([0.1 * sig(2.5) / sig(0.5)] * 5)
    assert weights.weight.tolist() == [0.25] * 4 + [0]
    assert state["r_bar"] == pytest.approx(0.9 * 0.5 + 0.1 * 2.5)


@pytest.mark.parametrize("outlier", [-30.0, 30.0])
def test_both_tails_are_filtered(outlier: float) -> None:
    weights, _ = make("gap").compute_weights(step([0.1, outlier, 0.2, 0.3, 0.4]), {"r_bar": 0.0})
    assert weights.kept.tolist() == [True, False, True, True, True]


def test_code_variant_averages_sigmoids_and_moves_by_the_mean_of_all() -> None:
    # -100 lies 5,000 nats of log weight below the others, so the draw is certain.
    weights, state = make("gap", variant="code").compute_weights(step(FIVE), {"r_bar": 0.5})
    assert weights.kept.tolist() == [True, True, True, True, False]
    level = (sig(1) + sig(2) + sig(3) + sig(4)) / 4
    assert weights.metrics["aM"] == pytest.approx(level / sig(0.5))
    assert state["r_bar"] == pytest.approx(0.45 + 0.1 * (-90 / 5))


@pytest.mark.parametrize("variant", ["paper", "code"])
@pytest.mark.parametrize("size", [200.0, 2000.0])
def test_far_gaps_neither_underflow_nor_overflow(variant: str, size: float) -> None:
    for gaps in ([size] * 4 + [-size], [-size] * 5, [size] * 5):
        for r_bar in (0.0, size, -size):
            objective = make("dama", variant=variant)
            weights, state = objective.compute_weights(step(gaps), {"r_bar": r_bar})
            gap = torch.tensor(gaps, dtype=torch.float32)
            assert weights.kept.sum() == 4
            assert weights.beta.isfinite().all()
            assert objective.losses(batch(gap), weights.beta).isfinite().all()
            assert math.isfinite(state["r_bar"])


def test_model_scale_is_exact_where_a_float32_sigmoid_is_zero() -> None:
    gap = torch.tensor([-200.0, -200.0], dtype=torch.float64)
    assert model_scale(gap, -199.0, "paper") == pytest.approx(math.exp(-1))
    assert model_scale(gap, -199.0, "code") == pytest.approx(math.exp(-1))


def test_sampled_filter_follows_its_weights() -> None:
    rng = torch.Generator().manual_seed(1)
    log_weight = torch.tensor([0.0, math.log(3.0)], dtype=torch.float64)
    share = sum(int(keep_sampled(log_weight, 1, rng)[1]) for _ in range(4000)) / 4000
    assert share == pytest.approx(0.75, abs=0.03)


def closest(gaps: list[float], count: int, tolerance: float) -> list[int]:
    """The places of the gaps that are kept around 0."""
    return keep_closest(torch.tensor(gaps, dtype=torch.float64), 0.0, count, tolerance).nonzero()[:, 0].tolist()


def test_of_gaps_that_are_equal_but_for_rounding_the_first_are_kept() -> None:
    noise = [3e-6, -1e-6, 2e-6, 0.0, -4e-6]
    assert closest(noise, 3, 0.0) == [1, 2, 3], "exact numbers are compared exactly"
    assert closest(noise, 3, 1e-5) == closest(noise[::-1], 3, 1e-5) == [0, 1, 2]
    assert closest([5.0, 1.0, -1.0, 0.0], 2, 1e-5) == [1, 3], "those that are clearly closer come first"
    # On either side of the edge of a grid of 1e-5, and on either side of the running mean.
    assert closest([1.00000499, -1.00000501, 1.000005, 0.5], 2, 1e-6) == [0, 3]


def test_equal_is_what_steps_of_the_tolerance_lead_to_up_to_a_bound() -> None:
    chain = [0.9, 0.6, 0.3, 0.0]
    assert closest(chain, 2, 0.25) == [2, 3] and closest(chain, 2, 0.35) == [0, 1]
    dense = [i / 100 for i in reversed(range(1000))]  # steps of 0.01 from end to end
    kept = closest(dense, 800, 0.02)
    assert len(kept) == 800 and set(range(208, 1000)) <= set(kept), "only those near the last kept count as equal"


@pytest.mark.parametrize("name", sorted(ALIGNERS.names()))
def test_rounding_alone_decides_nothing(name: str) -> None:
    """Before the first step all gaps are 0; how a step is split must not choose the pairs that count."""
    objective = make(name)
    seen = set()
    for seed in range(20):
        noise = 1e-5 * torch.randn(16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        split = step(noise.tolist(), rng=torch.Generator().manual_seed(7), tolerance=2e-4)
        weights, _ = objective.compute_weights(split, objective.initial_state())
        seen.add(tuple(weights.kept.tolist()))
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("keep", "size", "kept"), [(0.8, 16, 12), (0.8, 10, 8), (0.29, 100, 29), (0.8, 1, 1), (1.0, 7, 7), (0.1, 5, 1)]
)
def test_kept_count_is_the_floor_of_the_share(keep: float, size: int, kept: int) -> None:
    assert kept_count(keep, size) == kept


def test_code_variant_averages_rank_by_rank() -> None:
    rank = torch.tensor([0, 0, 0, 1, 1])
    kept = torch.tensor([True, True, False, True, False])
    assert kept_weight(kept, rank).tolist() == [0.25, 0.25, 0, 0.5, 0]
    assert kept_weight(kept).tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 0])


def test_a_rank_without_kept_pairs_counts_with_a_loss_of_zero() -> None:
    kept = torch.tensor([True, True, False, False])
    assert kept_weight(kept, torch.tensor([0, 0, 1, 1])).tolist() == [0.25, 0.25, 0, 0]


@pytest.mark.parametrize(
    ("combine", "expected"),
    [
        ("product", lambda d, m: d * m),
        ("mean", lambda d, m: (d + m) / 2),
        ("max", max),
        ("min", min),
    ],
)
def test_dama_combines_both_scales(combine: str, expected: Any) -> None:
    weights, _ = make("dama", combine=combine).compute_weights(step(FIVE, [0.5, -0.5, 0, 0, 0]), {"r_bar": 0.5})
    a_d, a_m = [sig(x) / sig(0.0482) for x in (0.5, -0.5, 0, 0, 0)], sig(2.5) / sig(0.5)
    assert weights.beta.tolist() == pytest.approx([0.1 * expected(d, a_m) for d in a_d])
    assert weights.kept.tolist() == [True] * 4 + [False]


def test_data_then_model_uses_one_half_at_a_time_and_always_moves_the_average() -> None:
    dama = make("dama", combine="data-then-model")
    early, state = dama.compute_weights(step(FIVE, [0.5] * 5, progress=0.49), {"r_bar": 0.5})
    late, late_state = dama.compute_weights(step(FIVE, [0.5] * 5, progress=0.5), {"r_bar": 0.5})
    assert early.kept.all() and early.beta.tolist() == pytest.approx([0.1 * sig(0.5) / sig(0.0482)] * 5)
    assert late.kept.sum() == 4 and late.beta.tolist() == pytest.approx([0.1 * sig(2.5) / sig(0.5)] * 5)
    assert state == late_state == {"r_bar": pytest.approx(0.7)}


def test_beta_is_clamped_and_the_share_is_counted() -> None:
    weights, _ = make("hardness").compute_weights(step([0.0, 0.0], [0.0, -9.0]), {})
    assert weights.beta[1] == 1e-3 and weights.metrics["clamped"] == 0.5


def test_controls_leave_out_one_mechanism_each() -> None:
    one, _ = make("gap", scale="one").compute_weights(step(FIVE), {"r_bar": 0.5})
    assert one.beta.tolist() == [0.1] * 5 and one.kept.tolist() == [True] * 4 + [False]
    none, _ = make("gap", filter="none").compute_weights(step(FIVE), {"r_bar": 0.5})
    assert none.kept.all() and none.metrics["aM"] == pytest.approx(sig(-18) / sig(0.5))
    masks = [
        make("gap", filter="random")
        .compute_weights(step(FIVE, rng=torch.Generator().manual_seed(s)), {"r_bar": 0.0})[0]
        .kept
        for s in range(20)
    ]
    assert {int(mask.sum()) for mask in masks} == {4}
    assert len({tuple(mask.tolist()) for mask in masks}) > 1


def test_beta_dpo_updates_its_average_before_the_loss() -> None:
    gaps = [1.0, 2.0, 3.0, 4.0, 1000.0]
    weights, state = make("beta-dpo").compute_weights(step(gaps), {"r_bar": 2.0, "r_std": 1.0})
    mean, std = 202.0, torch.tensor(gaps).std().item()
    assert state == {"r_bar": pytest.approx(0.9 * 2 + 0.1 * mean), "r_std": pytest.approx(0.9 + 0.1 * std)}
    assert weights.kept.tolist() == [True] * 4 + [False]
    # 1 + 0.6 (2.5 - 22) is below zero: the clamp holds
    assert weights.beta.tolist() == [1e-3] * 5
    centred, _ = make("beta-dpo", keep=1.0).compute_weights(step([0.0, 2.0]), {"r_bar": 0.0, "r_std": 1.0})
    assert centred.beta.tolist() == pytest.approx([0.1 * (1 + 0.6 * 0.9)] * 2)


def test_ipo_aims_at_half_over_beta_per_token() -> None:
    one = torch.ones(1, dtype=torch.float64)
    losses = make("ipo").losses(Batch(one * 4, one * 2, one * 0, one * 0, one * 2, one * 4), one * 0.1)
    assert losses.item() == pytest.approx((2.0 - 0.5 - 5.0) ** 2)


def test_simpo_asks_the_mean_gap_to_exceed_its_margin_without_a_reference() -> None:
    one = torch.ones(1, dtype=torch.float64)
    pairs = Batch(-4 * one, -9 * one, chosen_length=2 * one, rejected_length=3 * one)
    assert make("simpo").losses(pairs, 2 * one).item() == pytest.approx(-math.log(sig(2 * (-2 + 3) - 1)))


def test_da_dpo_scales_beta_by_the_distance_of_the_given_scores() -> None:
    one = torch.ones(1, dtype=torch.float64)
    pairs = replace(batch(3 * one), columns={"c_chosen": 0.5 * one, "c_rejected": 2 * one})
    assert make("da-dpo").losses(pairs, 0.1 * one).item() == pytest.approx(-math.log(sig(0.1 * 2.5 * 3)))


def test_mdpo_adds_the_image_pair_and_the_anchor() -> None:
    # log-ratios: chosen 3, rejected 1, chosen given the cropped image 2; beta 0.5
    one = torch.ones(1, dtype=torch.float64)
    pairs = Batch(-4 * one, -8 * one, -7 * one, -9 * one, one, one, -8 * one, -10 * one)
    expected = -math.log(sig(0.5 * 2)) - math.log(sig(0.5 * 1)) - math.log(sig(0.5 * 3))
    assert make("mdpo").losses(pairs, 0.5 * one).item() == pytest.approx(expected)
    assert make("mdpo", image_weight=0, anchor_weight=0).losses(pairs, 0.5 * one).item() == pytest.approx(
        make("dpo").losses(pairs, 0.5 * one).item()
    )


def test_pea_dpo_adds_a_fifth_of_the_image_term() -> None:
    one = torch.ones(1, dtype=torch.float64)
    pairs = Batch(-4 * one, -8 * one, -7 * one, -9 * one, one, one, -8 * one, -10 * one)
    expected = -math.log(sig(0.5 * 2)) - 0.2 * math.log(sig(0.5 * 1))
    assert make("pea-dpo").losses(pairs, 0.5 * one).item() == pytest.approx(expected)


def test_pea_dpo_repo_is_a_hinge_on_mean_log_probabilities_without_a_reference() -> None:
    # mean log-probabilities: chosen -1, rejected -2, chosen given the masked image -1.5
    one = torch.ones(1, dtype=torch.float64)
    pairs = Batch(-4 * one, -6 * one, None, None, 4 * one, 3 * one, -6 * one, None)
    repo = make("pea-dpo-repo")
    assert repo.losses(pairs, one).item() == pytest.approx((1.5 - 1) + 0.2 * (4.5 - 0.5))
    assert make("pea-dpo-repo", gamma=0.9, image_gamma=0.4).losses(pairs, one).item() == 0
    assert repo.needs == {"corrupted:mask"} and "not the variant" in make("pea-dpo").paper


def test_settings_are_checked() -> None:
    assert make("gap", **parse_assignments(["beta=0.2", "keep=1", "variant=code"])) == make(
        "gap", beta=0.2, keep=1.0, variant="code"
    )
    for name, bad in (("gap", {"keep": 0.0}), ("gap", {"momentum": 1.0}), ("dpo", {"beta": 0.0}), ("dpo", {"kep": 1})):
        with pytest.raises(UsageError):
            make(name, **bad)


# -- every registered aligner ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ALIGNERS.names()))
def test_every_aligner_keeps_what_an_objective_promises(name: str) -> None:
    check_aligner(ALIGNERS.get(name), pulls_back=name == "ipo")  # a squared loss pulls back beyond its target


@pytest.mark.parametrize("name", ["dpo", "hardness", "gap", "dama"])
def test_weights_do_not_depend_on_the_order_of_pairs_or_on_the_ranks(name: str) -> None:
    objective = make(name)
    gaps, deltas = [0.3, -1.7, 2.9, 0.1, 5.0], [0.1, -0.2, 0.3, 0.9, -0.8]
    order = [3, 0, 4, 2, 1]
    here, state = objective.compute_weights(step(gaps, deltas), objective.initial_state())
    there, other = objective.compute_weights(
        step([gaps[i] for i in order], [deltas[i] for i in order], rank=torch.tensor([0, 1, 1, 2, 3])),
        objective.initial_state(),
    )
    assert torch.allclose(here.beta[order], there.beta, rtol=1e-12)
    assert torch.equal(here.weight[order], there.weight)
    assert state == pytest.approx(other)
