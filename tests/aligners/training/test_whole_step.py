"""One step over all processes: who computes what, and what rounding may do."""

from __future__ import annotations

import collections
import random

import pytest
import torch

from aligners.dpo import Dpo
from aligners.objective import Batch
from aligners.simpo import SimPo
from aligners.training.probes import shares
from aligners.training.whole_step import StepPair, divided, gap_noise


def pairs(ranks: list[int], tokens: list[int]) -> list[StepPair]:
    return [StepPair(row, rank, row, length) for row, (rank, length) in enumerate(zip(ranks, tokens, strict=True))]


def load(step: list[StepPair], batches: list[list[int]], kept: list[bool]) -> int:
    return sum(step[row].tokens for rows in batches for row in rows if kept[row])


def test_a_rank_with_more_pairs_that_count_gives_some_away() -> None:
    step = pairs([0] * 4 + [1] * 4, [100, 101, 102, 103, 100, 101, 102, 103])
    kept = [True] * 4 + [False, False, True, True]
    plan = divided(step, kept, ranks=2, slots=2, all_slots=False)
    assert [sorted(row for rows in batches for row in rows) for batches in plan] == [[1, 2, 3], [0, 6, 7]]
    assert [[len(rows) for rows in batches] for batches in plan] == [[1, 2], [1, 2]]
    whole = divided(step, [True] * 8, ranks=2, slots=2, all_slots=False)
    assert whole == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]], "nothing is moved"


def test_pairs_that_count_fill_as_few_micro_batches_as_hold_them_except_for_an_engine_that_counts() -> None:
    step, kept = pairs([0, 0, 1, 1], [9, 9, 9, 5]), [True, True, False, False]
    assert divided(step, kept, ranks=2, slots=2, all_slots=False) == [[[], [1]], [[], [0]]]
    assert divided(step, kept, ranks=2, slots=2, all_slots=True) == [[[3], [1]], [[3], [0]]]
    assert divided(step, [False, True, False, False], ranks=2, slots=1, all_slots=False) == [[[1]], [[3]]]


@pytest.mark.parametrize("seed", range(40))
def test_any_division_computes_each_pair_that_counts_once_and_burdens_no_rank_more(seed: int) -> None:
    draw = random.Random(seed)
    ranks, slots, micro = draw.randint(1, 8), draw.randint(1, 4), draw.randint(1, 4)
    owners = [rank for rank in range(ranks) for _ in range(slots * micro)]
    draw.shuffle(owners)
    step = pairs(owners, [draw.randint(580, 900) for _ in owners])
    kept = [draw.random() < 0.75 for _ in owners]
    kept[draw.randrange(len(kept))] = True
    plan = divided(step, kept, ranks=ranks, slots=slots, all_slots=bool(seed % 2))
    computed = collections.Counter(row for batches in plan for rows in batches for row in rows if kept[row])
    assert computed == {row: 1 for row, counts in enumerate(kept) if counts}
    assert all(len(batches) == slots and all(len(rows) <= micro for rows in batches) for batches in plan)
    (filled,) = {tuple(bool(rows) for rows in batches) for batches in plan}
    assert filled[-1] and filled == tuple(sorted(filled)) and (all(filled) or seed % 2 == 0)
    before = [sum(p.tokens for p in step if kept[p.at] and p.rank == rank) for rank in range(ranks)]
    after = [load(step, batches, kept) for batches in plan]
    assert max(after) <= max(before)
    assert max(map(len, [[row for rows in batches for row in rows if kept[row]] for batches in plan])) <= slots * micro


def test_rounding_moves_a_gap_as_far_as_the_log_probabilities_it_is_made_of() -> None:
    chosen, rejected, length = torch.tensor([-400.0]), torch.tensor([-600.0]), torch.tensor([100.0])
    batch = Batch(chosen, rejected, chosen, rejected, length, length)
    assert gap_noise(Dpo(), batch, half=False).item() == pytest.approx(1e-6 * 1000)
    assert gap_noise(Dpo(), batch, half=True).item() == pytest.approx(1.5e-4 * 1000)
    assert gap_noise(SimPo(), batch, half=False).item() == pytest.approx(1e-6 * 10), "a gap of means"


def test_probe_pairs_are_shared_out_and_every_rank_has_as_many() -> None:
    assert shares(5, 1) == [[0, 1, 2, 3, 4]]
    assert shares(5, 2) == [[0, 2, 4], [1, 3, 0]]
    assert shares(1, 3) == [[0], [0], [0]]
