"""The difference of two rows, with what is known of its error: from the samples, and from the training seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Kind = Literal["methods", "checkpoints"]
"""What differs: two methods, whatever seed they are trained with, or only the checkpoints that were compared."""


@dataclass(frozen=True)
class Difference:
    """``value`` = figure of A minus figure of B on the same samples, 95 % interval, two-sided p (NaN: undefined).

    There is no interval of a single group, and no smallest difference where the interval has no width.

    Args:
        value: figure of A minus figure of B, in the unit of the figure.
        low: lower end of the 95 % interval.
        high: its upper end.
        p: two-sided.
        n: common samples.
        samples: half-width of the 95 % interval from the samples alone.
        seeds: half-width of the 95 % interval from the training seeds; NaN where they are not counted.
        kind: whether it is said of methods, or of the checkpoints only (one seed on a side).
        by_seed: of every seed of A its figure minus that of the same seed of B, or minus B's mean where B has no such
            seed.
        extrapolated: of readings of curves, the share of resampling draws and seeds in which that of A or B (the larger
            of both shares) lies beyond its curve's ends.
        bracketed: whether both readings can be relied on; a difference of others is never starred.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    samples: float = math.nan
    seeds: float = math.nan
    kind: Kind = "checkpoints"
    by_seed: tuple[float, ...] = ()
    extrapolated: float = 0.0
    bracketed: bool = True

    @property
    def signs_differ(self) -> bool:
        """Whether one seed says that A is above B and another that it is below."""
        return any(d > 0 for d in self.by_seed) and any(d < 0 for d in self.by_seed)

    @property
    def smallest(self) -> float:
        """The smallest true difference that would have been shown (5 % level, 80 % power)."""
        return self.smallest_at(0.05)

    def smallest_at(self, level: float) -> float:
        """The smallest true difference that a test at ``level`` would have shown with a power of 80 %."""
        return smallest_difference((self.low, self.high))


NOTHING = Difference(math.nan, math.nan, math.nan, math.nan, 0)
"""Where there is nothing to compare."""


def smallest_difference(interval: tuple[float, float], *, level: float = 0.95, power: float = 0.8) -> float:
    """The smallest true difference that a comparison of this size would find with probability ``power``.

    From the half-width of the difference's ``level`` interval, as that of a normal: with standard error
    se = half-width / z(1 - (1 - level) / 2), it is (z(1 - (1 - level) / 2) + z(power)) * se (Cohen 1988, eq. 2.4).
    Same unit as the interval. NaN where that is undefined: without an interval, and where all resamples agree, which
    says nothing of how much they could differ.
    """
    low, high = interval
    if not high - low > 1e-9 * (1 + abs(low) + abs(high)):
        return math.nan
    two_sided, detected = NormalDist().inv_cdf((1 + level) / 2), NormalDist().inv_cdf(power)
    return (high - low) / 2 * (two_sided + detected) / two_sided
