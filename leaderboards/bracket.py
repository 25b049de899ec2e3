"""Which point a coverage curve still lacks: the base's coverage must lie between two near points to be read there.

A point is chosen by coverage alone, never by the rate of hallucination, so that the choice favours no reading.
Coverage falls with the bias on the end-of-sequence logit: where the base's coverage lies beyond the curve's end, the
next point does too, as far as the last two say (secant); where it lies within, but the points on either side are far
apart, the next lies between them. All are multiples of ``STEP``, so that methods and seeds share points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import named_sums
from harness.stats import bootstrap_sums, enough_to_resample
from harness.store import EvaluationRecord
from leaderboards.condition import condition_of, newest
from leaderboards.coverage import FEW, Tradeoff, beyond_ends, curve_verdicts, curves_of, tradeoff_of
from leaderboards.run_groups import BASE
from leaderboards.scores import RESAMPLES, SEED, read_scores
from leaderboards.snapshot import Snapshot
from leaderboards.verdict_table import VerdictTable

Array = NDArray[np.float64]

STEP, FIRST = 0.25, 0.5
"""Biases are multiples of the first; an end is prolonged by no less than the second."""
LARGEST, MOST = 8.0, 6
"""No bias is larger, and no curve gets more points beside 0: one that does not reach the target is marked then."""
WIDE = 3.0
"""Points of coverage between two points of a curve above which a third is put between them: the rate bends there. In
the embedded world (its slope grows by 0.3 a point) a straight line over so many reads at most 0.4 points too much."""
NOISE = 8.0
"""And in standard errors of that distance: between nearer points the slope would be noise, and the reading with it."""


@dataclass(frozen=True)
class Lack:
    """What a curve lacks.

    ``side``: 1 for answers that are longer than those of all its points, -1 for shorter ones, 0 for a point within.
    ``bias``: the point to add; None where none may be added any more.
    """

    side: int
    bias: float | None


def lack_of(biases: Sequence[float], coverage: Array, target: Array) -> Lack | None:
    """What a curve of these points lacks; None where nothing.

    The target has to lie between its ends, in few draws (``FEW``, half of them on each side) beyond them, and between
    near points.

    Args:
        biases: of the points, in any order.
        coverage: shape [points, draws]; the first draw is the samples as they are, the others resample them.
        target: the coverage of base in the same draws.
    """
    known = np.isfinite(coverage[:, 0])
    at, coverage = np.array(biases, dtype=float)[known], coverage[known]
    if not len(at) or not np.isfinite(target[0]):
        return None  # nothing is scored: more points would not be either
    sides = beyond_ends(coverage, coverage, target)
    above, below = (float((sides[1:] * sign > 0).mean()) if len(target) > 1 else 0.0 for sign in (1, -1))
    if sides[0] == 0 and max(above, below) <= FEW / 2:
        between = None if len(at) > MOST else _between(at, coverage, float(target[0]))
        return None if between is None else Lack(0, between)
    side = int(sides[0]) or (1 if above >= below else -1)
    order = np.argsort(at * side)
    at, coverage = at[order], coverage[order]  # the end that is too short comes first
    if len(at) > MOST or -side * at[0] >= LARGEST:
        return Lack(side, None)
    return Lack(side, _beyond(at, coverage, target, side))


def _beyond(at: Array, coverage: Array, target: Array, side: int) -> float:
    """The next point beyond ``at[0]``: where the last two say that the target is passed by two standard errors."""
    short = (target - coverage[0]) * side
    needed = short[0] + 2 * (float(np.nanstd(short[1:])) if len(short) > 1 else 0.0)
    end, step, furthest = float(-side * at[0]), FIRST, max(2 * FIRST, abs(float(at[0])))
    if len(at) > 1:
        rise = float(coverage[0, 0] - coverage[1, 0]) * side / abs(at[0] - at[1])
        step = needed / rise if rise > 0 else furthest
    further = end + min(max(step, FIRST), furthest)
    return -side * float(min(np.ceil(further / STEP - 1e-9) * STEP, LARGEST))


def _between(at: Array, coverage: Array, target: float) -> float | None:
    """A point between the two on either side of the target, where these are far apart; else None."""
    order = np.argsort(coverage[:, 0], kind="stable")
    at, coverage = at[order], coverage[order]
    right = int(np.clip(np.searchsorted(coverage[:, 0], target), 1, len(at) - 1)) if len(at) > 1 else 0
    apart = coverage[right] - coverage[right - 1]
    if not right or apart[0] <= max(WIDE, NOISE * float(np.nanstd(apart))):
        return None
    share = (target - coverage[right - 1, 0]) / apart[0]
    wanted = at[right - 1] + share * (at[right] - at[right - 1])
    low, high = sorted((float(at[right - 1]), float(at[right])))
    inner = [STEP * i for i in range(round(low / STEP), round(high / STEP) + 1) if low < STEP * i < high]
    return min(inner, key=lambda bias: abs(bias - wanted), default=None)


def lack(snapshot: Snapshot, evaluation: EvaluationRecord, since: int = 0) -> Lack | None:
    """What the coverage curve lacks that ``evaluation`` is the unbiased point of; None where it can be read, or is not
    to be: the base's own, or where there is no base under the same conditions.

    In every panel that the model has a row in. Of its other points only evaluations from number ``since`` on count.
    """
    found = [lack_of(*curve) for curve in _curves(snapshot, evaluation, since)]
    lacking = [each for each in found if each is not None]
    return next((each for each in lacking if each.bias is not None), next(iter(lacking), None))


def has_base(snapshot: Snapshot, evaluation: EvaluationRecord) -> bool:
    """Whether an evaluation's model has a base under the same conditions in each of its panels, or is one."""
    return all(base is not None for _, base in _points(snapshot, evaluation, 0))


def _curves(snapshot: Snapshot, evaluation: EvaluationRecord, since: int) -> Iterator[tuple[list[float], Array, Array]]:
    """Of every panel that has a base the curve of the evaluation's model, as ``lack_of`` takes it."""
    tradeoff = tradeoff_of(snapshot.metrics(evaluation), evaluation.benchmark)
    for points, base in _points(snapshot, evaluation, since):
        if tradeoff is not None and base is not None:
            tables = {bias: snapshot.verdicts(e) for bias, e in points.items()}
            yield coverage_draws(tables, snapshot.verdicts(base), tradeoff)


def _points(
    snapshot: Snapshot, evaluation: EvaluationRecord, since: int
) -> Iterator[tuple[Mapping[float, EvaluationRecord], EvaluationRecord | None]]:
    """In every panel where the evaluation's model has a row, and is not the base: its points by bias, and the base."""
    names, condition = snapshot.all_groups, condition_of(evaluation)
    for panel in names.panels:
        if names.label(evaluation, panel) in (None, BASE):
            continue
        key = partial(names.key, panel=panel)
        mine = key(evaluation)
        rows = [e for e in snapshot.counted if names.label(e, panel) is not None]
        curves = curves_of(condition, newest((e for e in rows if key(e) != mine or e.id >= since), key))
        yield curves.get(mine, {}), curves.get(BASE, {}).get(0.0)


def coverage_draws(
    points: Mapping[float, VerdictTable], base: VerdictTable, tradeoff: Tradeoff
) -> tuple[list[float], Array, Array]:
    """The biases of a curve, its coverage at each, [points, 1 + draws], and the base's, [1 + draws].

    The first of these is of the samples as they are. With several judge runs it is the mean over them.
    """
    scores = read_scores([curve_verdicts(points, base)])
    by_run = []
    for values in scores.values[0]:
        sums = values.sum(axis=0, keepdims=True)
        if enough_to_resample(scores.groups):
            drawn = bootstrap_sums(values, scores.groups, resamples=RESAMPLES, seed=SEED)
            sums = np.concatenate([sums, drawn])
        biases, coverage, _, target = tradeoff.curve(named_sums(scores.columns, sums))
        by_run.append((coverage, target))
    coverage, target = (np.mean([run[i] for run in by_run], axis=0) for i in (0, 1))
    return biases, coverage, target
