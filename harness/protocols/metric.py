"""A figure of a benchmark: a function of its verdicts' sums, with its direction and what it can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sums = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Metric:
    """A figure that is a function of the verdicts' sums over samples.

    ``compute`` maps the sums (each an array of any one shape, for example one entry per bootstrap resample) to values
    of that shape; NaN where there is nothing to count. So one bootstrap over samples serves every metric.

    ``over_runs`` says how several judge runs become one figure. ``limits``: the smallest and the largest value that it
    can have, at which intervals are cut; None: 0 and 100 of a percentage, else none. A relative score in per cent can
    be above 100 and declares its own.
    ``groups``, where the metric counts groups of samples (MME's acc+, HallusionBench's qAcc, circular evaluation): the
    group of every sample id (``groups_by``). Each count of a group is the smallest of its samples' counts, so that a
    group is right only where all of them are; one with a failed sample is not counted. The bootstrap resamples groups.
    """

    name: str
    compute: Callable[[Sums], NDArray[np.float64]]
    higher_is_better: bool | None
    unit: str = "%"
    over_runs: Literal["mean", "std"] = "mean"
    groups: Mapping[str, str] | None = None
    limits: tuple[float, float] | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value that it can have."""
        return self.limits or ((0.0, 100.0) if self.unit == "%" else (-math.inf, math.inf))

    @property
    def is_share(self) -> bool:
        """Whether it is a share of what is counted, 0 to 100, and not the spread of one over judge runs."""
        return self.unit == "%" and self.over_runs == "mean" and self.bounds == (0.0, 100.0)

    def within(self, value: float, low: float, high: float) -> tuple[float, float]:
        """The ends of an interval about ``value``, cut to what the metric can be; they never pass the value itself."""
        least, most = self.bounds
        return max(low, min(least, value)), min(high, max(most, value))

    def difference_within(self, value: float, low: float, high: float) -> tuple[float, float]:
        """The same of a difference of two values."""
        widest = self.bounds[1] - self.bounds[0]
        return max(low, min(-widest, value)), min(high, max(widest, value))


def ratio(numerator: str, denominator: str, scale: float = 100.0) -> Callable[[Sums], NDArray[np.float64]]:
    """``scale * numerator / denominator`` of two sums; NaN where the denominator is 0."""

    def of(sums: Sums) -> NDArray[np.float64]:
        below = sums[denominator]
        return np.where(below > 0, scale * sums[numerator] / np.where(below > 0, below, 1.0), np.nan)

    return of
