"""In which order pairs are trained on: which share a step, by the seed alone, and which of a step a micro-batch."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import torch

from aligners.pairs.data import Pair

MEGA = 50
"""Steps whose pairs are sorted by length together where lengths are grouped: padding is below 1 % then."""
AHEAD = 64
"""How many groups are looked at for one that fits into what is left of a step."""
FEW_STEPS = 10
"""A run of fewer optimiser steps hardly moves its model; warm-up of a tenth of the steps (the default) is none then."""


def characters(pair: Pair) -> int:
    """The length that rows are sorted by, in characters of both responses."""
    return len(pair.chosen) + len(pair.rejected)


def step_count(pairs: int, *, batch_size: int, epochs: int) -> int:
    """Optimiser steps of a run: whole batches only, at least one."""
    return max(1, epochs * pairs // batch_size)


def few_steps(pairs: int, *, batch_size: int, epochs: int) -> str:
    """What is said before a run of fewer than ``FEW_STEPS`` optimiser steps, with what makes more; "" of others."""
    steps = step_count(pairs, batch_size=batch_size, epochs=epochs)
    if steps >= FEW_STEPS:
        return ""
    longer, smaller = math.ceil(FEW_STEPS * batch_size / pairs), epochs * pairs // FEW_STEPS
    return (
        f"few optimiser steps: {steps} in all ({pairs} pairs, batch_size={batch_size}, epochs={epochs}), so that the "
        f"model hardly changes. For at least {FEW_STEPS}: epochs={longer} or more"
        + (f", or batch_size={smaller}{' or less' if smaller > 1 else ''}" if smaller else "")
    )


def training_order(
    pairs: Sequence[Pair],
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    micro_batch: int = 0,
    share_images: bool = False,
    group_lengths: bool = False,
) -> list[int]:
    """Indices into ``pairs`` in the order of training: whole optimiser steps only, one after the other.

    Seeded permutations of all pairs follow each other, one an epoch. ``group_lengths``: every ``MEGA`` steps of an
    epoch are sorted by length and cut into steps, in random order. ``share_images``: pairs of the same images share a
    step, and a micro-batch (of ``micro_batch`` pairs) as far as they fit. Both say which pairs share a step, whatever
    the micro-batch. Inside a step pairs are sorted by length, so that micro-batches need little padding.
    """
    steps = step_count(len(pairs), batch_size=batch_size, epochs=epochs)
    draw = torch.Generator().manual_seed(seed)
    arranged: list[list[list[int]]] = []  # steps of groups of pairs
    rest: list[list[int]] = []
    while len(arranged) < steps:
        epoch: list[int] = torch.randperm(len(pairs), generator=draw).tolist()
        groups = _together(epoch, lambda i: pairs[i].images or i, batch_size) if share_images else [[i] for i in epoch]
        if group_lengths:
            first = batch_size - sum(map(len, rest)) if rest else 0  # they fill the step that an epoch before began
            lengths = [sum(characters(pairs[i]) for i in group) for group in groups]
            groups = groups[:first] + _by_length(groups[first:], lengths[first:], batch_size, draw)
        made = list(packed([*rest, *groups], batch_size))
        rest = made.pop() if sum(map(len, made[-1])) < batch_size else []
        arranged += made
    return [i for step in arranged[:steps] for i in _micro_batches(step, pairs, micro_batch if share_images else 0)]


def packed(groups: Iterable[list[int]], size: int) -> Iterator[list[list[int]]]:
    """``groups`` in bins of exactly ``size`` items, the last perhaps with fewer. A group is split only where neither it
    nor one of the ``AHEAD`` that follow fits into what is left of a bin.
    """
    waiting = deque(groups)
    while waiting:
        room, taken = size, list[list[int]]()
        while room and waiting:
            ahead = enumerate(itertools.islice(waiting, AHEAD))
            at = next((number for number, group in ahead if len(group) <= room), None)
            if at is None:
                group = waiting.popleft()
                waiting.appendleft(group[room:])
                group = group[:room]
            else:
                group = waiting[at]
                del waiting[at]
            taken.append(group)
            room -= len(group)
        yield taken


def _together(order: Sequence[int], key: Callable[[int], Hashable], most: int) -> list[list[int]]:
    """``order`` in groups of the same ``key``, each of at most ``most``, by the place of their first."""
    groups: dict[Hashable, list[list[int]]] = {}
    found: list[list[int]] = []
    for i in order:
        of_key = groups.setdefault(key(i), [])
        if not of_key or len(of_key[-1]) == most:
            of_key.append([])
            found.append(of_key[-1])
        of_key[-1].append(i)
    return found


def _by_length(
    groups: Sequence[list[int]], lengths: Sequence[int], size: int, draw: torch.Generator
) -> list[list[int]]:
    """``groups`` so that neighbours are of like length and every ``size`` of them stand anywhere."""
    found: list[list[int]] = []
    for mega in _cut(range(len(groups)), MEGA * size):
        cuts = _cut(sorted(mega, key=lambda n: lengths[n]), size)
        whole = [cut for cut in cuts if len(cut) == size]
        cuts = [*(whole[at] for at in torch.randperm(len(whole), generator=draw).tolist()), *cuts[len(whole) :]]
        found += [groups[n] for cut in cuts for n in cut]
    return found


def _cut(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _micro_batches(step: Sequence[list[int]], pairs: Sequence[Pair], micro_batch: int) -> list[int]:
    """The pairs of a step: by length, or (``micro_batch``) so that its groups lie in one micro-batch where they fit."""
    if not micro_batch:
        return sorted(itertools.chain(*step), key=lambda i: (characters(pairs[i]), i))
    largest_first = sorted(step, key=lambda group: (-len(group), group))
    return [i for bin in packed(largest_first, micro_batch) for group in bin for i in group]
