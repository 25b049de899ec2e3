"""The fuzzer itself: a short run of every target, and that it sees what it is there to see."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from tests.fuzz import mutation, run
from tests.fuzz.runner import all_targets
from tests.fuzz.target import Target

INPUTS = 3_000
"""In all; `make test-faults` feeds a million."""


def test_no_input_is_a_traceback_or_a_score() -> None:
    counts = run(INPUTS, seed=13)
    assert counts.inputs >= INPUTS
    assert counts.faults == [], [(fault.target, fault.number, fault.what[-300:]) for fault in counts.faults]


@pytest.mark.parametrize("target", all_targets(), ids=lambda target: target.name)
def test_the_valid_inputs_of_a_target_are_read(target: Target) -> None:
    """Else its changes would begin at what is refused, and reach little of the reader."""
    for given in target.corpus:
        target.feed(target.valid(given))


def feed(given: str) -> None:
    """A reader with a fault of each kind."""
    if "refused" in given:
        raise UsageError("refused")
    if "broken" in given:
        raise KeyError("broken")
    assert "wrong" not in given


@pytest.mark.parametrize(("given", "faults"), [("fine", 0), ("refused", 0), ("broken", 10), ("wrong", 10)])
def test_an_error_that_is_no_refusal_and_a_broken_promise_are_faults(given: str, faults: int) -> None:
    outcome = Target("t", [given], lambda random, corpus: corpus[0], feed).run(0, range(10))
    assert len(outcome.faults) == faults
    assert outcome.inputs == 10


def test_the_same_seed_and_number_give_the_same_input() -> None:
    target = Target("t", ["Rating: 5", "4"], mutation.text, feed)
    inputs = [target.input(1, number) for number in range(50)]
    assert inputs == [target.input(1, number) for number in range(50)]
    assert inputs != [target.input(2, number) for number in range(50)]
    assert len(set(inputs)) > 40
