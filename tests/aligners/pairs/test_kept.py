"""Encoded pairs are kept under a bound, found again by what they say and show, and are what encoding gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from tokenizers import normalizers

from aligners.pairs.data import Pair, load_pairs
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.kept import KeepingEncoder, KeptPairs
from aligners.training.preference_data import PairStream
from harness.models.prompts import Prompts
from tests.tiny import load_tiny, picture


@pytest.fixture(scope="module")
def prompts(llava: Path) -> Prompts:
    return Prompts(load_tiny(llava)[1])


def same(one: Encoded, other: Encoded) -> bool:
    return (one.index, one.id, one.cut) == (other.index, other.id, other.cut) and all(
        torch.equal(a, b)
        for a, b in zip(
            (one.prefix, one.chosen, one.rejected, *one.vision.values(), *one.marks.values()),
            (other.prefix, other.chosen, other.rejected, *other.vision.values(), *other.marks.values()),
            strict=True,
        )
    )


def test_a_second_epoch_encodes_nothing_and_sees_the_same(prompts: Prompts, pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file, 4).pairs
    kept = KeptPairs(1e6)
    plain, keeping = Encoder(prompts, 256), KeepingEncoder(prompts, 256, kept=kept)
    order = [0, 1, 2, 3, 3, 1, 0, 2]
    expected, found = (PairStream(pairs, order, each) for each in (plain, keeping))
    assert all(same(found[at], expected[at]) for at in range(len(order)))
    assert kept.encoded == 4


def test_what_is_kept_answers_to_the_name_it_is_asked_by(prompts: Prompts) -> None:
    encode = KeepingEncoder(prompts, 256, kept=KeptPairs(1e6))
    first = encode(0, Pair.about(picture(0), "a", "what ?", "a dog", "a cat"))
    again = encode(7, Pair.about(picture(0), "b", "what ?", "a dog", "a cat"))
    assert (again.index, again.id) == (7, "b") and again.prefix is first.prefix
    other = encode(1, Pair.about(picture(0), "c", "what ?", "a dog", "a red cat"))
    assert other.vision is first.vision, "an image of several pairs is held once"
    assert not torch.equal(other.rejected, first.rejected)
    open_end = encode(2, dataclasses.replace(Pair.about(picture(0), "d", "what ?", "a dog", "a cat"), ends=False))
    assert len(open_end.chosen) == len(first.chosen) - 1


def test_no_more_is_held_than_the_bound_and_the_first_that_fit_stay(prompts: Prompts) -> None:
    pairs = [Pair.about(picture(i), str(i), "what ?", "a dog", "a cat") for i in range(5)]
    one = KeptPairs(1e6)
    KeepingEncoder(prompts, 256, kept=one)(0, pairs[0])
    kept = KeptPairs(2.5 * one.size)
    encode = KeepingEncoder(prompts, 256, kept=kept)
    for _ in range(3):
        for index, pair in enumerate(pairs):
            encode(index, pair)
    assert kept.size == 2 * one.size
    assert kept.encoded == 5 + 3 + 3
    none = KeptPairs(0)
    encode = KeepingEncoder(prompts, 256, kept=none)
    encode(0, pairs[0]), encode(0, pairs[0])
    assert (none.size, none.encoded) == (0, 2)


def test_a_run_finds_what_the_run_before_it_encoded(prompts: Prompts, llava: Path) -> None:
    pair = Pair.about(picture(0), "a", "what ?", "a dog", "a cat")
    first = KeepingEncoder.of(Encoder(prompts, 256), 1e6)
    encoded = first(0, pair)
    again = KeepingEncoder.of(Encoder(Prompts(load_tiny(llava)[1]), 256), 1e6)  # read from its files anew
    assert again(0, pair).prefix is encoded.prefix
    shorter = KeepingEncoder.of(Encoder(prompts, 255), 1e6)
    assert shorter.kept is not first.kept and shorter.kept.size == 0


def test_another_tokenizer_of_the_same_words_is_another_encoder(prompts: Prompts, llava: Path) -> None:
    other = Prompts(load_tiny(llava)[1])
    other.processor.tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert Encoder(other, 256).identity == Encoder(prompts, 256).identity
    assert Encoder(other, 256).whole_identity != Encoder(prompts, 256).whole_identity


def test_what_fills_more_than_half_of_the_room_makes_place_for_the_next_run(prompts: Prompts) -> None:
    first = KeepingEncoder.of(Encoder(prompts, 256), 1e6)
    first(0, Pair.about(picture(0), "a", "what ?", "a dog", "a cat"))
    full = 1.9 * first.kept.size
    one = KeepingEncoder.of(Encoder(prompts, 256), full)
    one(0, Pair.about(picture(0), "a", "what ?", "a dog", "a cat"))
    assert one.kept.size > 0
    assert KeepingEncoder.of(Encoder(prompts, 256), full).kept.size == 0
