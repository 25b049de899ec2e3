"""Feeding a number of inputs to all targets, and the counts that come of it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.fuzz.target import Fault, Outcome, Target

MODULES = ("replies", "rows", "settings", "names", "wire", "model_files", "benchmark_files")
"""The modules of ``tests.fuzz`` with a function ``targets``."""


@dataclass(frozen=True)
class Counts:
    """What a run did."""

    outcomes: Sequence[Outcome]

    @property
    def inputs(self) -> int:
        return sum(outcome.inputs for outcome in self.outcomes)

    @property
    def faults(self) -> list[Fault]:
        return [fault for outcome in self.outcomes for fault in outcome.faults]


def all_targets() -> list[Target]:
    """Every target of the modules."""
    modules = (importlib.import_module(f"tests.fuzz.{name}") for name in MODULES)
    return [target for module in modules for target in module.targets()]


def run(
    inputs: int, seed: int, only: Sequence[str] = (), show: Callable[[Outcome], None] = lambda outcome: None
) -> Counts:
    """Feed at least ``inputs`` inputs in all; ``only`` names targets, ``show`` gets each outcome as it is there."""
    targets = [target for target in all_targets() if not only or target.name in only]
    shares = sum(target.share for target in targets)
    outcomes = []
    for target in targets:
        started = time.perf_counter()
        outcome = target.run(seed, range(-(-inputs * target.share // shares)))
        outcome.seconds = time.perf_counter() - started
        outcomes.append(outcome)
        show(outcome)
    return Counts(outcomes)
