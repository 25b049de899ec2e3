"""How much data a wanted difference takes: what a pilot's samples, training seeds and judge runs leave open, projected.

A figure's variance over samples has a part that every seed of a method shares (the images), one of its own for each
seed (how that model answers them), and one for each judge run. The first falls with the images, the second also with
the seeds, the third also with the judge runs; what the seeds themselves differ by falls with the seeds alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import value_over_runs
from harness.protocols.benchmark import Metric
from harness.stats import SeedVariance, error, group_sums, influences, jackknife_variance
from harness.stats.student import t_bound
from leaderboards.scores import Scores, flat

Array = NDArray[np.float64]
MOST_SEEDS = 20
MOST_RUNS = 5
"""As many seeds and judge runs are looked at for a wanted difference."""
MOST_TIMES = 100.0
"""As many times the pilot's samples."""


@dataclass(frozen=True)
class Design:
    """How much is run: training seeds of each method, samples, judge runs of each answer.

    ``of_sides``: the seeds of A and of B where they are not as many.
    """

    seeds: int
    samples: int
    judge_runs: int
    of_sides: tuple[int, int] | None = None

    @property
    def sides(self) -> tuple[int, int]:
        """The seeds of A and of B, of which those of one that was not trained say nothing."""
        return self.of_sides or (self.seeds, self.seeds)


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two rows: what varies in its figure from image to image, times the number of images.

    Args:
        trained: whether it is a method with training seeds, of which these are a sample; the base is not.
        interaction: between its seeds, on the same images.
        judge: between runs of the judge on the same answers; NaN where there is one run.
    """

    trained: bool
    interaction: float
    judge: float


@dataclass(frozen=True, kw_only=True)
class Components:
    """The variance components of a difference, in the unit of the figure squared.

    Args:
        pilot: what they were estimated from.
        groups: images of the pilot; ``counted``: those of them that count in the metric.
        image: of one image, whatever the seed and the judge run.
        sides: of the two rows.
        seed: of one training seed, beside the images; NaN where no method has two seeds.
        answered: what the pilot's samples explain of one seed's variance, pooled as ``seed`` is.
        methods: trained methods that the seeds' variance is pooled over.
        df: degrees of freedom of the pilot's; None: of ``methods`` with as many seeds each.
    """

    pilot: Design
    groups: int
    counted: int
    image: float
    sides: tuple[Side, Side]
    seed: float
    answered: float
    methods: int
    df: float | None = None

    @property
    def trained(self) -> bool:
        return any(side.trained for side in self.sides)

    def seeds_share(self, design: Design) -> float:
        """How often the seeds' variance counts: 1 / k of each side of k seeds."""
        return sum(1 / k for side, k in zip(self.sides, design.sides, strict=True) if side.trained)

    @property
    def judge_known(self) -> bool:
        return all(math.isfinite(side.judge) for side in self.sides)

    def smallest(self, design: Design, level: float, power: float = 0.8) -> float:
        """The smallest true difference that ``design`` shows, two-sided at ``level``; NaN where it shows none.

        With one training seed nothing is said of methods. By the error that differences are judged by
        (``harness.stats.error``), so that the pilot's own design gives the pilot's own figure, unless a component that
        came out negative is taken as 0.
        """
        times = design.samples / self.pilot.samples
        groups, counted = self.groups * times, np.array([self.counted * times])
        samples = np.array([sum(self.over_samples(design)) / groups])
        seeds_of_methods = [k for side, k in zip(self.sides, design.sides, strict=True) if side.trained]
        if seeds_of_methods and (min(seeds_of_methods) < 2 or not math.isfinite(self.seed)):
            return math.nan
        if not self.trained:
            found = error(samples, counted)
        else:
            answered = self.answered / times * self._of_runs(design) / self._of_runs(self.pilot)
            df = float(self.methods * (design.seeds - 1))
            if self.df is not None and design.sides == self.pilot.sides:
                df = self.df
            seeds = SeedVariance(*(np.array([x]) for x in (self.seed + answered, answered, df)))
            found = error(samples, counted, seeds, self.seeds_share(design))
        df = float(found.df[0])
        width = t_bound(level, df) + t_bound(2 * (1 - power), df)
        return float(width * math.sqrt(float(found.variance[0])))

    def over_samples(self, design: Design) -> tuple[float, float]:
        """The variance of one image's part: of the answers, and of the judge's runs."""
        answers, judge = self.image, 0.0
        for side, count in zip(self.sides, design.sides, strict=True):
            seeds = count if side.trained else 1
            answers += side.interaction / seeds
            judge += _known(side.judge) / (seeds * design.judge_runs)
        return answers, judge

    def shares(self) -> dict[str, float]:
        """The shares of the pilot's variance that samples, seeds and judge runs have."""
        answers, judge = (part / self.groups for part in self.over_samples(self.pilot))
        seeds = _known(self.seed) * self.seeds_share(self.pilot)
        total = answers + judge + seeds
        parts = {"samples": answers, "seeds": seeds, "judge_runs": judge}
        return {name: part / total if total > 0 else math.nan for name, part in parts.items()}

    def _of_runs(self, design: Design) -> float:
        """What the seeds of the trained sides differ by on one image, under a design's judge runs; 1 for nothing."""
        trained = [side for side in self.sides if side.trained]
        return sum(side.interaction + _known(side.judge) / design.judge_runs for side in trained) or 1.0


def components(
    a: Scores, b: Scores, metric: Metric, trained: tuple[bool, bool], seeds: SeedVariance | None, methods: int
) -> Components:
    """Those of ``metric`` of A minus B, two rows on the same samples.

    ``seeds``: the seeds' variance of that metric, pooled over ``methods``. Mean squares of a nested design (seeds
    within images, judge runs within seeds), of the jackknife's influences; a negative component is 0.
    """
    moved = [_influences(scores, metric) for scores in (a, b)]
    groups = len(moved[0])
    whole = groups * _variance(moved[0].mean(axis=(1, 2)) - moved[1].mean(axis=(1, 2)))
    sides = [_side(each, is_trained) for each, is_trained in zip(moved, trained, strict=True)]
    noise = 0.0
    for each, side in zip(moved, sides, strict=True):
        count, runs = each.shape[1:]
        noise += side.interaction / count + _known(side.judge) / (count * runs)
    seed = math.nan if seeds is None else max(0.0, float(seeds.total[0] - seeds.answered[0]))
    counted = np.logical_or(*((each != 0).any(axis=(1, 2)) for each in moved))
    counts = [len(scores.values) for scores, of in zip((a, b), trained, strict=True) if of] or [1]
    pilot = Design(
        seeds=max(counts),
        samples=len(a.samples),
        judge_runs=max(a.values.shape[1], b.values.shape[1]),
        of_sides=(counts[0], counts[1]) if len(set(counts)) > 1 else None,
    )
    return Components(
        pilot=pilot, groups=groups, counted=int(counted.sum()), image=max(0.0, whole - noise),
        sides=(sides[0], sides[1]), seed=seed, answered=0.0 if seeds is None else float(seeds.answered[0]),
        methods=max(methods, 1), df=None if seeds is None else float(seeds.df[0]),
    )  # fmt: skip


def _side(moved: Array, trained: bool) -> Side:
    """Of ``moved`` [images, seeds, judge runs]."""
    groups, seeds, runs = moved.shape
    by_seed = moved.mean(axis=2)
    judge = math.nan
    if runs > 1:
        apart = moved - by_seed[:, :, None]
        judge = groups * sum(_variance(apart[:, s, r]) for s in range(seeds) for r in range(runs))
        judge /= seeds * (runs - 1)
    interaction = 0.0
    if seeds > 1:
        apart = by_seed - by_seed.mean(axis=1, keepdims=True)
        between = groups * sum(_variance(apart[:, s]) for s in range(seeds)) / (seeds - 1)
        interaction = max(0.0, between - _known(judge) / runs)
    return Side(trained=trained, interaction=interaction, judge=judge)


def _influences(scores: Scores, metric: Metric) -> Array:
    """What each group of samples adds to the metric, [groups, seeds, judge runs]."""
    seeds, runs, _, width = scores.values.shape

    def of(sums: Array) -> Array:
        by_run = sums.reshape(*sums.shape[:-1], seeds, runs, width)
        return value_over_runs(metric, scores.columns, by_run[None])

    return influences(of, group_sums(flat(scores), scores.groups))


def _variance(influence: Array) -> float:
    return float(jackknife_variance(influence))


def _known(value: float) -> float:
    return value if math.isfinite(value) else 0.0


@dataclass(frozen=True)
class Need:
    """The cheapest design found for a wanted difference, and whether it needs more samples than there are."""

    design: Design
    smallest: float
    more_samples: bool


def needed(found: Components, wanted: float, level: float, power: float, available: int) -> Need | None:
    """The fewest seeds, then judge runs, then samples that show ``wanted``; None where none does.

    With as many samples as are ``available`` if that is possible, else with more, up to ``MOST_TIMES`` the pilot's.
    """
    most = int(MOST_TIMES * found.pilot.samples)
    for limit in dict.fromkeys((min(available, most), most)):
        for design in _designs(found, limit):
            if _shows(found, design, wanted, level, power):
                best = _fewest_samples(found, design, wanted, level, power)
                return Need(best, found.smallest(best, level, power), best.samples > available)
    return None


def _designs(found: Components, samples: int) -> Iterator[Design]:
    runs = range(1, MOST_RUNS + 1) if found.judge_known else (found.pilot.judge_runs,)
    for seeds in range(2, MOST_SEEDS + 1) if found.trained else (1,):
        for judge_runs in runs:
            yield Design(seeds, samples, judge_runs)


def _shows(found: Components, design: Design, wanted: float, level: float, power: float) -> bool:
    return found.smallest(design, level, power) <= wanted


def _fewest_samples(found: Components, design: Design, wanted: float, level: float, power: float) -> Design:
    low, high = 1, design.samples
    while low < high:
        middle = (low + high) // 2
        if _shows(found, replace(design, samples=middle), wanted, level, power):
            high = middle
        else:
            low = middle + 1
    return replace(design, samples=high)


def grid(found: Components, judge_runs: int, seeds: Sequence[int] = (), samples: Sequence[int] = ()) -> list[Design]:
    """The designs of the table: some seeds and samples around the pilot's."""
    pilot = found.pilot
    counts = seeds or ((2, 3, 5, 8) if found.trained else (1,))
    sizes = samples or [max(1, round(pilot.samples * times)) for times in (0.25, 0.5, 1, 2, 4)]
    return [Design(k, n, judge_runs) for k in sorted(set(counts)) for n in sorted(set(sizes))]
