"""Which pairs share a step: by the seed alone, whatever the micro-batch; options say when it is another."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import pytest
import torch

from aligners.pairs.data import Pair
from aligners.training.order import characters, few_steps, packed, training_order


def pairs_of(images: Sequence[int]) -> list[Pair]:
    """Pairs about these images, their responses of very different lengths."""
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 400, (len(images),), generator=draw).tolist()
    return [
        Pair.about(bytes([image]), str(n), "?", "a" * length, "b" * (length + n % 7))
        for n, (image, length) in enumerate(zip(images, lengths, strict=True))
    ]


def steps(order: Sequence[int], size: int) -> list[list[int]]:
    return [list(order[start : start + size]) for start in range(0, len(order), size)]


def padded(order: Sequence[int], pairs: Sequence[Pair], size: int) -> float:
    """Characters of rows padded to the longest of their batch, over those that are there."""
    batches = [[characters(pairs[i]) for i in batch] for batch in steps(order, size)]
    return sum(size * max(batch) for batch in batches) / sum(map(sum, batches))


def test_without_options_steps_are_cut_from_permutations_that_follow_each_other() -> None:
    pairs = pairs_of(range(30))
    draw = torch.Generator().manual_seed(5)
    stream = list(itertools.chain(*(torch.randperm(30, generator=draw).tolist() for _ in range(2))))
    found = steps(training_order(pairs, batch_size=8, epochs=2, seed=5), 8)
    assert [sorted(step) for step in found] == [sorted(stream[start : start + 8]) for start in range(0, 56, 8)]
    assert all([characters(pairs[i]) for i in step] == sorted(characters(pairs[i]) for i in step) for step in found)


def test_fewer_than_ten_steps_are_called_few_with_what_makes_ten() -> None:
    """12 pairs in steps of 16: 12 / 16 is less than one step, which is taken all the same; 10 * 16 / 12 is 13.3 epochs,
    and 12 / 10 at most 1 pair a step. 5 pairs cannot make 10 steps in an epoch. 20 pairs in steps of 2 are 10 steps.
    """
    said = few_steps(12, batch_size=16, epochs=1)
    assert said.startswith("few optimiser steps: 1 in all (12 pairs, batch_size=16, epochs=1)")
    assert said.endswith("For at least 10: epochs=14 or more, or batch_size=1")
    assert few_steps(20, batch_size=16, epochs=1).endswith("or batch_size=2 or less")
    assert few_steps(12, batch_size=16, epochs=14) == few_steps(12, batch_size=1, epochs=1) == ""
    assert few_steps(5, batch_size=1, epochs=1).endswith("For at least 10: epochs=2 or more")
    assert few_steps(20, batch_size=2, epochs=1) == ""
    assert "9 in all" in few_steps(19, batch_size=2, epochs=1)


def test_grouped_lengths_need_little_padding_and_every_pair_comes_once_an_epoch() -> None:
    pairs = pairs_of(range(250))

    def order(group_lengths: bool) -> list[int]:
        return training_order(pairs, batch_size=8, epochs=2, seed=0, group_lengths=group_lengths)

    plain, grouped = order(False), order(True)
    assert padded(grouped, pairs, 8) < 1.05
    assert padded(plain, pairs, 8) > 1.4
    assert grouped == order(True)
    counts = Counter(grouped)
    assert len(grouped) == 496 and set(counts.values()) == {1, 2} and len(counts) == 250
    longest = [max(characters(pairs[i]) for i in step) for step in steps(grouped, 8)]
    assert longest != sorted(longest), "steps of like lengths do not follow each other"


@pytest.mark.parametrize("group_lengths", [False, True])
def test_pairs_of_an_image_share_a_step_and_a_micro_batch_and_no_micro_batch_changes_a_step(
    group_lengths: bool,
) -> None:
    pairs = pairs_of([n // 4 for n in range(96)])  # 24 images of four pairs
    of_eight, of_four = (
        training_order(
            pairs,
            batch_size=16,
            epochs=1,
            seed=2,
            micro_batch=micro_batch,
            share_images=True,
            group_lengths=group_lengths,
        )
        for micro_batch in (8, 4)
    )
    assert sorted(of_eight) == list(range(96))
    assert [sorted(step) for step in steps(of_eight, 16)] == [sorted(step) for step in steps(of_four, 16)]
    for order, size in ((of_eight, 8), (of_four, 4)):
        assert all(len({pairs[i].images for i in batch}) == size // 4 for batch in steps(order, size))
    assert steps(of_eight, 16)[0] != list(range(16)), "images are shuffled"


def test_a_group_is_split_only_where_nothing_fits() -> None:
    assert list(packed([[1, 2, 3], [4, 5], [6]], 4)) == [[[1, 2, 3], [6]], [[4, 5]]]
    assert list(packed([[1, 2, 3], [4, 5], [6, 7]], 4)) == [[[1, 2, 3], [4]], [[5], [6, 7]]]
