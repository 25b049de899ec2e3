"""``check_aligner``: what every objective must keep, as one check for its author's tests.

It needs no model: an objective is a function of log-probabilities. What the trainer promises on top (a run split over
processes or interrupted gives the same weights) rests on what is checked here.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from aligners.objective import ALIGNERS, Batch, Objective, State, Step

GAPS = (0.3, -1.7, 2.9, 0.1, 5.0)
DELTAS = (0.1, -0.2, 0.3, 0.9, -0.8)


def check_aligner(kind: type[Objective], *, pulls_back: bool = False, **settings: Any) -> None:
    """Check an objective, made with ``settings``; raises AssertionError.

    Args:
        pulls_back: its loss rises again where the reward gap is far beyond a target (IPO's squared loss).
    """
    faults = ALIGNERS.faults(kind)
    assert not faults, f"{kind.__name__}: {'; '.join(faults)}"
    objective = kind(**settings)
    check_losses(objective, pulls_back=pulls_back)
    check_split(objective)
    check_weights(objective)
    check_state(objective)


def pairs_of(objective: Objective, chosen: Tensor, rejected: Tensor) -> Batch:
    """Pairs with all that ``objective`` may need: reference, lengths, corrupted images, columns of ones."""
    reference, ones = torch.full_like(rejected, -40.0), torch.ones_like(rejected)
    columns = {need.removeprefix("column:"): ones for need in objective.needs if need.startswith("column:")}
    corrupted = {"corrupted_chosen": rejected - 3, "ref_corrupted_chosen": rejected - 3}
    lengths = {"chosen_length": 10 * ones, "rejected_length": 10 * ones}
    return Batch(chosen, rejected, reference, reference, **lengths, **corrupted, columns=columns)


def step_of(gaps: Sequence[float], deltas: Sequence[float] = DELTAS, ranks: Sequence[int] | None = None) -> Step:
    """A step of ``len(gaps)`` pairs, half-way through training, with a fixed seed."""
    return Step(
        size=len(gaps),
        gap=torch.tensor(gaps, dtype=torch.float64),
        delta=torch.tensor(deltas[: len(gaps)], dtype=torch.float64),
        delta_mean=0.0482,
        rank=torch.tensor(ranks or [0] * len(gaps)),
        progress=0.0,
        rng=torch.Generator().manual_seed(0),
    )


def check_losses(objective: Objective, *, pulls_back: bool = False) -> None:
    """Losses and gradients are finite, also far from zero, and a likelier chosen response lowers the loss."""
    chosen = torch.tensor([-40.0, -3.0, -200.0, -1.0], requires_grad=True)
    pairs = pairs_of(objective, chosen, torch.tensor([-41.0, -2.0, -2.0, -200.0]))
    gaps = objective.gaps(pairs).detach().double().tolist()
    weights, _ = objective.compute_weights(step_of(gaps), objective.initial_state())
    losses = objective.losses(pairs, weights.beta)
    assert losses.shape == (4,), f"losses has the shape {tuple(losses.shape)} for 4 pairs: one loss a pair, unreduced"
    (gradient,) = torch.autograd.grad(losses.sum(), chosen)
    assert losses.isfinite().all(), f"losses are not finite: {losses.tolist()} at reward gaps {gaps}"
    assert gradient.isfinite().all(), f"gradients are not finite: {gradient.tolist()} at reward gaps {gaps}"
    judged = gradient[:2] if pulls_back else gradient
    assert (judged <= 0).all() and (judged < 0).any(), (
        f"a likelier chosen response must lower the loss, but the gradients are {gradient.tolist()} at gaps {gaps}"
    )


def check_split(objective: Objective) -> None:
    """A pair's loss is a function of that pair and its beta alone, so that micro-batches change nothing."""
    chosen, rejected = torch.tensor([-4.0, -3.0, -9.0, -1.0]), torch.tensor([-5.0, -2.0, -6.0, -2.0])
    pairs = pairs_of(objective, chosen, rejected)
    beta = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    whole = objective.losses(pairs, beta)
    for cuts in ((0, 2, 4), (0, 1, 2, 3, 4), (0, 3, 4)):
        shares = [slice(*cut) for cut in itertools.pairwise(cuts)]
        split = torch.cat([objective.losses(_sliced(pairs, share), beta[share]) for share in shares])
        assert torch.allclose(split, whole, rtol=1e-6), (
            f"losses of micro-batches {split.tolist()}, of all {whole.tolist()}"
        )


def _sliced(pairs: Batch, share: slice) -> Batch:
    of_field = {f.name: getattr(pairs, f.name) for f in fields(pairs) if f.name != "columns"}
    cut = {name: value[share] for name, value in of_field.items() if value is not None}
    return replace(pairs, **cut, columns={name: value[share] for name, value in pairs.columns.items()})


def check_weights(objective: Objective) -> None:
    """Weights of a step are finite, sum to 1, keep as many pairs as declared, and do not depend on the ranks."""
    weights, state = objective.compute_weights(step_of(GAPS), objective.initial_state())
    for name in ("beta", "weight"):
        value = getattr(weights, name)
        assert value.dtype == torch.float64 and value.shape == (len(GAPS),), f"{name}: expected float64 [{len(GAPS)}]"
        assert value.isfinite().all(), f"{name} is not finite: {value.tolist()}"
    assert (weights.beta > 0).all(), f"beta must be above 0: {weights.beta.tolist()}"
    assert math.isclose(weights.weight.sum().item(), 1.0, rel_tol=1e-9), f"weights sum to {weights.weight.sum().item()}"
    kept = int(weights.kept.sum())
    assert kept == objective.kept_pairs(len(GAPS)), f"kept_pairs says {objective.kept_pairs(len(GAPS))}, kept: {kept}"
    for name, metric in weights.metrics.items():
        assert math.isfinite(metric), f"metric {name!r} of the step is {metric}"
    again, same = objective.compute_weights(step_of(GAPS), objective.initial_state())
    assert torch.equal(again.weight, weights.weight) and torch.equal(again.beta, weights.beta) and same == state, (
        "compute_weights gives another result for the same step, state and seed"
    )


def check_state(objective: Objective) -> None:
    """The state survives JSON, as in a checkpoint, and is never changed in place."""
    first: State = objective.initial_state()
    before = dict(first)
    _, state = objective.compute_weights(step_of(GAPS), first)
    assert dict(first) == before, f"compute_weights changed the state it was given: {before} became {dict(first)}"
    read = json.loads(json.dumps(dict(state)))
    assert read == dict(state), f"the state does not survive JSON: {dict(state)} became {read}"
    assert set(read) == set(before), f"initial_state has {sorted(before)}, the next state {sorted(read)}"
    gaps = (0.5, 1.5, 9.0, 0.0)
    (here, after), (there, resumed) = (objective.compute_weights(step_of(gaps), s) for s in (state, read))
    assert torch.equal(here.beta, there.beta) and after == resumed, "a resumed step differs from an uninterrupted one"
