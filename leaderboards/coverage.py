"""Hallucination at the base model's coverage: compared where models mention equally much.

Shorter answers hallucinate less and cover less, so a rate of hallucination alone rewards silence. Decoding with a bias
on the end-of-sequence logit moves a model along its own coverage-hallucination curve; the rate (Object HalBench's
CHAIR_i) is read off that curve at the coverage (object recall) that the base model has without a bias. Every benchmark
that declares both metrics (``Benchmark.tradeoff``) has the figure where its curve was run.

A curve becomes one verdict a sample, which holds the numbers of all its points, and the reading a metric of the sums:
so intervals, differences and p-values are those of every other metric. What lies beyond the ends of a curve is a guess:
it is counted, and marked wherever it is shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import named_sums
from harness.protocols.benchmark import Metric, Sums
from harness.stats import bootstrap_sums, enough_to_resample
from harness.store import EvaluationRecord
from leaderboards.condition import Condition
from leaderboards.declared import declared, matched_name
from leaderboards.run_groups import BASE
from leaderboards.scores import RESAMPLES, SEED, Scores, Verdicts, flat, read_scores, statistic
from leaderboards.verdict_table import VerdictTable

Points = NDArray[np.float64]

FEW = 0.05
"""The share of draws beyond a curve's ends above which its reading is not relied on: as much as an interval leaves out.
"""


def curves_of(
    condition: Condition, grouped: Mapping[Condition, Mapping[str, EvaluationRecord]]
) -> dict[str, dict[float, EvaluationRecord]]:
    """Of each model the evaluations that differ from ``condition`` in nothing but the bias, by bias."""
    curves: dict[str, dict[float, EvaluationRecord]] = defaultdict(dict)
    if declared(condition.benchmark).tradeoff and not condition.eos_bias:
        for other, evaluations in grouped.items():
            if other.unbiased == condition.unbiased:
                for model, evaluation in evaluations.items():
                    curves[model][other.eos_bias] = evaluation
    return curves


def curve_scores(
    models: Sequence[str], curves: Mapping[str, Mapping[float, EvaluationRecord]], verdicts: Verdicts
) -> Scores | None:
    """The coverage curves of ``models`` (the seeds of one method), each at all its points.

    None where one of them has none, or there is no base. The base itself needs one point, at which it is read. A point
    without a scored sample is none.
    """
    if 0.0 not in curves.get(BASE, {}):
        return None
    base = verdicts(curves[BASE][0.0])
    read = [{bias: verdicts(e) for bias, e in curves.get(model, {}).items()} for model in models]
    points = [{bias: table for bias, table in each.items() if table.scored.any()} for each in read]
    if any(len(each) < (1 if model == BASE else 2) for model, each in zip(models, points, strict=True)):
        return None
    tables = [curve_verdicts(each, base) for each in points]
    return read_scores(tables) if any(table.columns for table in tables) else None


def curve_verdicts(points: Mapping[float, VerdictTable], base: VerdictTable) -> VerdictTable:
    """One verdict a sample and judge run with the numbers of all ``points`` (by bias) and of ``base`` without a bias.

    Nothing is counted of a sample that is not scored at every point and by the base.
    """
    named = {**{f"{bias:+g}": table for bias, table in points.items()}, BASE: base}
    rows: dict[tuple[str, int], int] = {}
    groups: dict[int, str] = {}
    errors: dict[int, str] = {}
    row_at = {}
    for point, table in named.items():
        keys = zip(table.samples, table.runs.tolist(), strict=True)
        row_at[point] = at = np.array([rows.setdefault(key, len(rows)) for key in keys], dtype=np.int64)
        for row, group in zip(at.tolist(), table.groups, strict=True):
            groups.setdefault(row, group)
        for i, error in table.errors.items():
            errors.setdefault(int(at[i]), error)
    answered = np.bincount(np.concatenate([*row_at.values()]), minlength=len(rows))
    for row in np.flatnonzero(answered < len(named)).tolist():
        errors.setdefault(row, "not answered at every point of the curve")
    counted = {point: table for point, table in named.items() if len(errors) < len(rows)}
    counts = [_spread(table.counts, row_at[point], len(rows)) for point, table in counted.items()]
    counts_of_all = np.concatenate([np.zeros((len(rows), 0)), *counts], axis=1)
    counts_of_all[list(errors)] = 0.0
    return VerdictTable(
        samples=tuple(sample for sample, _ in rows),
        runs=np.array([run for _, run in rows], dtype=np.int64),
        groups=tuple(groups[row] for row in range(len(rows))),
        columns=tuple(f"{point} {name}" for point, table in counted.items() for name in table.columns),
        counts=counts_of_all,
        errors=errors,
    )


def _spread(counts: Points, rows: NDArray[np.int64], height: int) -> Points:
    """``counts`` in ``rows`` of a matrix of ``height`` rows, 0 in the others."""
    out = np.zeros((height, counts.shape[1]))
    out[rows] = counts
    return out


@dataclass(frozen=True)
class Tradeoff:
    """The two metrics that a coverage curve is made of, to be computed from the sums of ``curve_verdicts``."""

    benchmark: str
    rate: Metric
    cover: Metric

    def curve(self, sums: Sums) -> tuple[list[float], Points, Points, Points]:
        """The biases in order; coverage and rate at each, [points, ...]; the coverage of base without one, [...]."""
        names = {name.split(" ", 1)[0] for name in sums} - {BASE}
        biases = sorted(names, key=float) or ["+0"]  # where no sample is scored at all points nothing is known of any
        points = [_at(sums, bias) for bias in biases]
        coverage, rate = (np.stack([m.compute(point) for point in points]) for m in (self.cover, self.rate))
        return [*map(float, biases)], coverage, rate, self.cover.compute(_at(sums, BASE))

    @property
    def matched(self) -> Metric:
        """The rate at the base's coverage."""

        def of(sums: Sums) -> Points:
            _, coverage, rate, target = self.curve(sums)
            return at_coverage(coverage, rate, target)

        return Metric(matched_name(self.benchmark), of, self.rate.higher_is_better, unit=self.rate.unit)

    @property
    def beyond(self) -> Metric:
        """1 where the base's coverage lies beyond the curve's ends, so that ``matched`` is extrapolated; else 0."""

        def of(sums: Sums) -> Points:
            _, coverage, rate, target = self.curve(sums)
            return np.abs(beyond_ends(coverage, rate, target))

        return Metric("beyond", of, None, unit="share")


def tradeoff_of(metrics: Sequence[Metric], benchmark: str) -> Tradeoff | None:
    """The trade-off that a benchmark declares; None where it declares none, or one of the two is not in ``metrics``."""
    by_name, names = {metric.name: metric for metric in metrics}, declared(benchmark).tradeoff
    if names is None or not set(names) <= set(by_name):
        return None
    return Tradeoff(benchmark, *(by_name[name] for name in names))


def extrapolated(scores: Scores, tradeoff: Tradeoff, resamples: int = RESAMPLES) -> tuple[float, bool]:
    """How much of a row's reading is extrapolated, and whether it can be relied on.

    The share of resampling draws, seeds and judge runs in which the base's coverage lies beyond the ends of the curve;
    and whether that is at most ``FEW`` and no seed's reading of the samples as they are is beyond.
    """
    of, values = statistic(scores, [tradeoff.beyond]), flat(scores)
    if not len(values):
        return math.nan, False
    if not enough_to_resample(scores.groups):
        share = float(of(values.sum(axis=0))[0])
        return share, share == 0
    share = float(of(bootstrap_sums(values, scores.groups, resamples=resamples, seed=SEED)).mean())
    return share, share <= FEW and float(of(values.sum(axis=0))[0]) == 0


def at_coverage(coverage: Points, rate: Points, target: Points) -> Points:
    """The rate where each curve meets ``target``; shapes [points, ...], [points, ...] and [...].

    Linear between the two points on either side, so that points further off do not bend it; beyond a curve's ends the
    last segment is prolonged. NaN points are left out. A curve of one point has a reading there only, else NaN.
    """
    x, y, count = _by_coverage(coverage, rate)
    right = np.asarray(np.clip((x < target).sum(axis=0), 1, np.maximum(count - 1, 1)))[None]
    right = np.minimum(right, len(x) - 1)
    left = np.maximum(right - 1, 0)
    (x0, x1), (y0, y1) = ([np.take_along_axis(a, i, axis=0)[0] for i in (left, right)] for a in (x, y))
    alone = (count == 1) & (beyond_ends(coverage, rate, target) == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(x1 > x0, (y1 - y0) / (x1 - x0), 0.0)  # points of one coverage have no slope
        return np.asarray(np.where(count > 1, y0 + slope * (target - x0), np.where(alone, y[0], np.nan)))


def beyond_ends(coverage: Points, rate: Points, target: Points) -> Points:
    """1 where ``target`` lies above all points of a curve, -1 where below all, else 0; shapes as of ``at_coverage``.

    NaN where there is no point.
    """
    x, _, count = _by_coverage(coverage, rate)
    last = np.take_along_axis(x, np.maximum(count - 1, 0)[None], axis=0)[0]
    rounding = 1e-9 * (1 + np.abs(target))
    side = np.where(target > last + rounding, 1.0, np.where(target < x[0] - rounding, -1.0, 0.0))
    return np.asarray(np.where(count > 0, side, np.nan))


def _by_coverage(coverage: Points, rate: Points) -> tuple[Points, Points, NDArray[np.int64]]:
    """The points of each curve from the lowest coverage to the highest, NaN ones last, and how many are known."""
    known = np.isfinite(coverage) & np.isfinite(rate)
    x = np.where(known, coverage, np.inf)
    order = np.argsort(x, axis=0, kind="stable")
    return np.take_along_axis(x, order, axis=0), np.take_along_axis(rate, order, axis=0), known.sum(axis=0)


def _at(sums: Sums, point: str) -> Sums:
    """The sums of one point under the benchmark's own names."""
    names = [name for name in sums if name.startswith(f"{point} ")]
    if not names:
        return named_sums([], np.zeros((*sums[f"{point} "].shape, 0)))
    return named_sums([name.split(" ", 1)[1] for name in names], np.stack([sums[name] for name in names], axis=-1))
