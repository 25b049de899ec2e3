"""One optimiser step over all processes: its pairs as every rank knows them, how far rounding moves their reward gaps,
and who computes which of the pairs that count.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from accelerate.utils import gather_object
from torch import Tensor

from aligners.objective import Batch, Objective
from aligners.pairs.encoding import Encoded

NOISE = {"float32": 1e-6, "bfloat16": 1.5e-4}
"""By compute type, what the log-probability of a response may differ by between two ways to split a step (padding,
rows, kernels), as a share of itself: twice the largest that was seen. Sums of 400 to 1,300 nats differed by up to
4.5e-7 of themselves in float32 and 7.5e-5 in bfloat16."""
POLICY = ("policy_chosen", "policy_rejected", "corrupted_chosen")


class StepPair(NamedTuple):
    """A pair of the step: its index in the data set, the rank that read it and its place there, the tokens of its
    prompt and responses, its reward gap and what rounding may change that by, in nats (0 where no gap is needed).
    """

    data_index: int
    rank: int
    at: int
    tokens: int
    gap: float = 0.0
    noise: float = 0.0


def gap_noise(objective: Objective, batch: Batch, *, half: bool) -> Tensor:
    """What rounding may change the reward gap of each pair by, float64 [n], in nats.

    As far as the gap moves when the policy's log-probabilities do, so that gaps of means move by less than gaps of
    sums. ``half``: bfloat16 is computed in.
    """
    share = NOISE["bfloat16" if half else "float32"]
    policy = {name: value.detach().double() for name in POLICY if (value := getattr(batch, name)) is not None}
    exact = dataclasses.replace(batch, **policy)
    gaps = objective.gaps(exact)
    moved = [dataclasses.replace(exact, **{name: value * (1 + share)}) for name, value in policy.items()]
    return torch.stack([(objective.gaps(each) - gaps).abs() for each in moved]).sum(0)


def gather_step(
    pairs: Sequence[Encoded], rank: int, gaps: Tensor | None = None, noise: Tensor | None = None
) -> list[StepPair]:
    """The step's pairs of all ranks, in the order of the data set: it depends on neither ranks nor micro-batches."""
    zeros = [0.0] * len(pairs)
    numbers = zip(zeros if gaps is None else gaps.tolist(), zeros if noise is None else noise.tolist(), strict=True)
    mine = [
        StepPair(pair.index, rank, at, tokens_of(pair), *of_pair)
        for at, (pair, of_pair) in enumerate(zip(pairs, numbers, strict=True))
    ]
    return sorted(StepPair(*row) for row in gather_object(mine))


def tokens_of(pair: Encoded) -> int:
    """Tokens of a pair in one shared row."""
    return len(pair.prefix) + len(pair.chosen) + len(pair.rejected)


def divided(
    step: Sequence[StepPair],
    kept: Sequence[bool],
    *,
    ranks: int,
    slots: int,
    all_slots: bool,
    by_length: bool = True,
) -> list[list[list[int]]]:
    """The rows of ``step`` that each rank computes in each of its ``slots`` micro-batches: those that are ``kept``.

    A rank with more of them than others gives some away, so that none waits for another. They fill the last
    micro-batches, as few as hold them, and the first are empty, the same on every rank; with ``all_slots`` none is. A
    rank without a pair for one of them runs a pair that counts for nothing, since all ranks must take part in every
    forward and backward. No micro-batch has more pairs than it was read with.
    ``by_length``: those of like length share a micro-batch; else those that were read together.
    """
    shares = _balanced(step, kept, ranks)
    micro_batch = len(step) // (ranks * slots)
    used = slots if all_slots else max(1, -(-max(map(len, shares)) // micro_batch))
    dropped = [row for row, counts in enumerate(kept) if not counts]
    batches: list[list[list[int]]] = []
    for rank, share in enumerate(shares):
        spare = sorted(dropped, key=lambda row: (step[row].rank != rank, step[row].tokens, row))
        share += [spare[n % len(spare)] for n in range(used - len(share))]
        share.sort(key=lambda row: (step[row].tokens, row) if by_length else (step[row].rank, step[row].at))
        ends = [len(share) * slot // used for slot in range(used + 1)]
        batches.append([[]] * (slots - used) + [share[start:end] for start, end in itertools.pairwise(ends)])
    return batches


def _balanced(step: Sequence[StepPair], kept: Sequence[bool], ranks: int) -> list[list[int]]:
    """The kept rows by rank, after moves from the rank with the most tokens to that with the fewest while they help."""
    shares: list[list[int]] = [[] for _ in range(ranks)]
    for row, pair in enumerate(step):
        if kept[row]:
            shares[pair.rank].append(row)
    room = len(step) // ranks
    load = [sum(step[row].tokens for row in share) for share in shares]
    while True:
        heavy = max(range(ranks), key=load.__getitem__)
        light = min(range(ranks), key=lambda rank: (len(shares[rank]) >= room, load[rank]))
        lead = load[heavy] - load[light]
        helpful = [row for row in shares[heavy] if step[row].tokens < lead]
        if len(shares[light]) >= room or not helpful:
            return shares
        moved = min(helpful, key=lambda row: abs(2 * step[row].tokens - lead))
        shares[heavy].remove(moved)
        shares[light].append(moved)
        load[heavy] -= step[moved].tokens
        load[light] += step[moved].tokens
