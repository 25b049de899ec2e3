"""What is fuzzed: a reader with valid inputs to start from, and what happened to the inputs that it was given."""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.errors import HarnessError
from tests.fuzz.mutation import Change

SECONDS = 2.0
"""Computing time after which an input of a few thousand characters has taken too long."""


@dataclass(frozen=True)
class Target:
    """A reader of input from outside.

    Args:
        name: as of ``--only``.
        corpus: valid inputs.
        change: what makes an input of them.
        valid: what makes an input of one of them as it is.
        feed: reads an input; it raises one of ``refuses`` for one that is refused, and AssertionError where what came
            of it breaks a promise. Anything else that it raises is a fault.
        share: of all inputs, against 100 of a fast reader.
        limit: seconds of computing after which an input took too long.
        refuses: the errors that a user can act on, or that the reader's contract names.
    """

    name: str
    corpus: Sequence[Any]
    change: Change
    feed: Callable[[Any], None]
    share: int = 100
    refuses: tuple[type[Exception], ...] = (HarnessError,)
    valid: Callable[[Any], Any] = lambda each: each
    limit: float = SECONDS

    def input(self, seed: int, number: int) -> Any:
        """The input of that number: the same for the same seed, on every machine."""
        return self.change(Random(f"{seed} {self.name} {number}"), self.corpus)

    def run(self, seed: int, numbers: range) -> Outcome:
        """Feed the inputs of these numbers."""
        outcome = Outcome(self.name)
        warnings.simplefilter("ignore")  # of a library, about a file that it reads all the same
        for number in numbers:
            given = self.input(seed, number)
            started = time.thread_time()
            try:
                self.feed(given)
                outcome.accepted += 1
            except self.refuses:
                outcome.refused += 1
            except Exception as error:
                outcome.faults.append(Fault(self.name, number, given, "".join(traceback.format_exception(error))))
            if time.thread_time() - started > self.limit:
                outcome.faults.append(Fault(self.name, number, given, f"it took more than {self.limit:g} s"))
        return outcome


@dataclass(frozen=True)
class Fault:
    """An input that was neither read nor refused, or not in time."""

    target: str
    number: int
    given: Any
    what: str


@dataclass
class Outcome:
    """What happened to the inputs of a target."""

    target: str
    accepted: int = 0
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        return self.accepted + self.refused + len({fault.number for fault in self.faults})
