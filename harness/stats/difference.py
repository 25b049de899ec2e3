"""The difference of two rows, with what is known of its error: from the samples, and from the training seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.stats.student import t_bound

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
        seeds: what the training seeds add: half^2 = samples^2 + seeds^2; NaN where they are not counted.
        kind: whether it is said of methods, or of the checkpoints only (one seed on a side).
        by_seed: of every seed of A its figure minus that of the same seed of B, or minus B's mean where B has no such
            seed.
        extrapolated: of readings of curves, the share of resampling draws and seeds in which that of A or B (the larger
            of both shares) lies beyond its curve's ends.
        bracketed: whether both readings can be relied on; a difference of others is never starred.
        df: degrees of freedom of the interval.
        level: at which ``smallest`` is tested.
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
    df: float = math.inf
    level: float = 0.05

    @property
    def signs_differ(self) -> bool:
        """Whether one seed says that A is above B and another that it is below."""
        return any(d > 0 for d in self.by_seed) and any(d < 0 for d in self.by_seed)

    @property
    def half(self) -> float:
        """Half of the interval's width before its ends were cut to what a difference can be."""
        if not math.isfinite(self.samples):
            return (self.high - self.low) / 2
        return math.hypot(self.samples, self.seeds if math.isfinite(self.seeds) else 0.0)

    @property
    def leaves_out_0(self) -> bool:
        """Whether the interval lies on one side of 0; not where there is none."""
        return self.low > 0 or self.high < 0

    @property
    def smallest(self) -> float:
        """The smallest true difference that would have been shown at ``level`` with a power of 80 %."""
        return self.smallest_at(self.level)

    def smallest_at(self, level: float) -> float:
        """The smallest true difference that a two-sided test at ``level`` would have shown with a power of 80 %.

        (t(1 - level / 2) + t(0.8)) standard errors (Cohen 1988, eq. 2.4, with Student's t). NaN where that is
        undefined: without an interval, and where its width is 0, which says nothing of how much rows could differ.
        """
        if not self.high - self.low > 1e-9 * (1 + abs(self.low) + abs(self.high)):
            return math.nan
        shown, detected, usual = (float(t_bound(p, self.df)) for p in (level, 0.4, 0.05))
        return self.half * (shown + detected) / usual


NOTHING = Difference(math.nan, math.nan, math.nan, math.nan, 0)
"""Where there is nothing to compare."""
