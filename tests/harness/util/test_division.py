"""How work is divided; what several real processes make of it is in tests/aligners/pairs/test_divided.py."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator

import pytest

from aligners.pairs.encoding import BadPair
from aligners.pairs.pair import Pair
from harness.errors import DataError, HarnessError
from harness.util.division import agreed, in_rounds, outcome, read_ahead, share


@pytest.mark.parametrize(("count", "world"), [(0, 3), (1, 2), (5, 2), (8, 4), (9, 4), (31, 8)])
def test_every_batch_is_some_processs_and_all_run_as_many(
    count: int, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(world))
    shares = []
    for rank in range(world):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(share(count))
    assert len({len(mine) for mine in shares}) == 1
    done = [number for mine in shares for number in mine]
    assert set(done) == set(range(count)) and len(done) < count + world


def test_batches_sorted_by_length_are_balanced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    lengths = [1000 - 7 * number for number in range(64)]
    tokens = []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        tokens.append(sum(lengths[number] for number in share(64)))
    assert len(set(tokens)) == 1


def test_one_process_does_all_in_order_and_keeps_the_error_as_it_is() -> None:
    assert list(in_rounds(3, lambda number: number * 10)) == [(0, 0), (1, 10), (2, 20)]
    assert agreed([1]) == [1]

    class Own(HarnessError):
        pass

    def fails(number: int) -> int:
        raise Own("of its own kind")

    with pytest.raises(Own, match="of its own kind"):
        list(in_rounds(3, fails))


def test_an_error_of_any_signature_is_sent_with_its_kind_and_text() -> None:
    def fails(number: int) -> int:
        raise BadPair(Pair("7", (), "a", "b"), "cannot be encoded")

    sent = pickle.loads(pickle.dumps(outcome(fails, 0)))
    with pytest.raises(DataError, match="pair 7: cannot be encoded"):
        _ = sent.value
    assert pickle.loads(pickle.dumps(outcome(lambda number: number + 1, 0))).value == 1


def test_processes_read_ahead_in_order_and_name_what_cannot_be_read() -> None:
    def read(number: int) -> tuple[int, bool]:
        if number == 5:
            raise DataError("number 5 is none")
        return number, os.getpid() == main

    main = os.getpid()
    ahead: Iterator[tuple[int, bool]] = read_ahead(range(9), read, 2)
    assert [next(ahead) for _ in range(5)] == [(number, False) for number in range(5)]
    with pytest.raises(DataError, match="number 5 is none"):
        next(ahead)
    assert list(read_ahead(range(3), read, 0)) == [(number, True) for number in range(3)]
