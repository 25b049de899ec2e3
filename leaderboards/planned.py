"""What a comparison takes, as it is shown: designs with the smallest difference that each shows, and their price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PlannedDesign:
    """One design with the smallest difference that it shows and what its judge costs.

    ``smallest`` is None where nothing can be said of methods (one seed); ``usd`` where the judge's price is unknown.
    ``answers`` are those of both rows together, ``judge_calls`` the replies about them.
    """

    seeds: int
    samples: int
    judge_runs: int
    smallest: float | None
    answers: int
    judge_calls: int
    usd: float | None


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a comparison of A and B in one metric of a benchmark takes.

    Args:
        a: the one row, as tables call it; ``b``: the other one.
        benchmark: whose ``metric``, in ``unit``, is compared.
        wanted: the difference that is to be seen; None: none was asked for.
        level: of the two-sided test, after Holm's division by ``comparisons``; ``power``: the chance to see it.
        pilot: the design that the store holds, with what it shows.
        shares: of the pilot's variance, what samples, seeds and judge runs make ("judge_runs" None: each answer was
            judged once, and their part is within that of the samples).
        table: designs around the pilot's.
        need: the design that ``wanted`` takes: fewest seeds, then judge runs, then samples; None where none does.
        available: samples that are known to be there: ``size``, or the pilot's.
        size: samples that the benchmark has; None where that is not recorded.
        widest: the largest difference that two values of the metric can have; None where it has no range.
        notes: what is to be known of it.
    """

    a: str
    b: str
    benchmark: str
    metric: str
    unit: str
    wanted: float | None
    level: float
    comparisons: int
    power: float
    pilot: PlannedDesign
    shares: Mapping[str, float | None]
    table: tuple[PlannedDesign, ...]
    need: PlannedDesign | None
    available: int
    size: int | None = None
    widest: float | None = None
    notes: tuple[str, ...] = ()

    def detects(self, design: PlannedDesign) -> bool:
        """Whether ``design`` shows any difference that the metric can have."""
        return design.smallest is not None and (self.widest is None or design.smallest <= self.widest)
