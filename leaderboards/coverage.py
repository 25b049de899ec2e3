"""CHAIR_i at the base model's coverage: hallucination compared where models mention equally much.

Shorter answers hallucinate less and cover less, so CHAIR_i alone rewards silence. Decoding with a bias on the
end-of-sequence logit moves a model along its own coverage-hallucination curve; CHAIR_i is read off that curve at the
coverage (object recall) that the base model has without a bias.

A curve becomes one verdict a sample, which holds the numbers of all its points, and the reading a metric of the sums:
so intervals, differences and p-values are those of every other metric.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import named_sums
from harness.protocols.benchmark import Metric, Sums
from harness.stats import Contrast, Difference, Statistic
from harness.store import EvaluationRecord, VerdictRecord
from leaderboards.condition import Condition
from leaderboards.run_groups import BASE
from leaderboards.scores import RESAMPLES, ContrastOf, Scores, Verdicts, differences, read_scores

BENCHMARK = "object_halbench"
NAME = "chair_i_matched"
Points = NDArray[np.float64]


def curves_of(
    condition: Condition, grouped: Mapping[Condition, Mapping[str, EvaluationRecord]]
) -> dict[str, dict[float, EvaluationRecord]]:
    """Of each model the evaluations that differ from ``condition`` in nothing but the bias, by bias."""
    curves: dict[str, dict[float, EvaluationRecord]] = defaultdict(dict)
    if condition.benchmark == BENCHMARK and not condition.eos_bias:
        for other, evaluations in grouped.items():
            if other.unbiased == condition.unbiased:
                for model, evaluation in evaluations.items():
                    curves[model][other.eos_bias] = evaluation
    return curves


def curve_scores(
    models: Sequence[str], curves: Mapping[str, Mapping[float, EvaluationRecord]], verdicts: Verdicts
) -> Scores | None:
    """The coverage curves of ``models`` (the seeds of one method); None where one of them or the base has none."""
    if any(len(curves.get(model, ())) < 2 for model in (*models, BASE)) or 0.0 not in curves[BASE]:
        return None
    base = verdicts(curves[BASE][0.0])
    points = [{bias: verdicts(e) for bias, e in curves[model].items()} for model in models]
    return read_scores([curve_verdicts(each, base) for each in points])


def curve_verdicts(
    points: Mapping[float, Sequence[VerdictRecord]], base: Sequence[VerdictRecord]
) -> list[VerdictRecord]:
    """One verdict a sample and judge run with the numbers of all ``points`` (by bias) and of ``base`` without a bias.

    Nothing is counted of a sample that is not scored at every point and by the base.
    """
    named = {**{f"{bias:+g}": verdicts for bias, verdicts in points.items()}, BASE: base}
    found: dict[tuple[str, int], dict[str, VerdictRecord]] = {}
    for point, verdicts in named.items():
        for verdict in verdicts:
            found.setdefault((verdict.sample_id, verdict.run), {})[point] = verdict
    merged = []
    for at in found.values():
        error = next((v.error for v in at.values() if v.error is not None), None)
        if len(at) < len(named):
            error = error or "not answered at every point of the curve"
        values = {f"{point} {name}": value for point, v in at.items() for name, value in v.counts.items()}
        merged.append(replace(next(iter(at.values())), counts={} if error else values, error=error))
    return merged


def matched_metric(metrics: Sequence[Metric]) -> Metric:
    """CHAIR_i at the base's coverage as a metric of ``curve_verdicts``, from the benchmark's own two metrics."""
    by_name = {metric.name: metric for metric in metrics}
    recall, chair = by_name["recall"], by_name["chair_i"]

    def of(sums: Sums) -> Points:
        biases = sorted({point for point in (name.split(" ", 1)[0] for name in sums) if point != BASE}, key=float)
        points = [_at(sums, bias) for bias in biases]
        coverage = np.stack([recall.compute(point) for point in points])
        return at_coverage(
            coverage, np.stack([chair.compute(point) for point in points]), recall.compute(_at(sums, BASE))
        )

    return Metric(NAME, of, higher_is_better=False)


def points_of(scores: Scores) -> set[str]:
    """The points of a row's curve, as its columns name them."""
    return {name.split(" ", 1)[0] for name in scores.columns} - {BASE}


def at_points(scores: Scores, points: Set[str]) -> Scores:
    """A row's curve with these ``points`` only."""
    kept = [i for i, name in enumerate(scores.columns) if name.split(" ", 1)[0] in {*points, BASE}]
    return replace(scores, columns=tuple(scores.columns[i] for i in kept), values=scores.values[..., kept])


def at_shared_points(scores: Mapping[str, Scores]) -> dict[str, Scores]:
    """All rows at the points that they have in common, or as they are where those are no curve."""
    shared = set.intersection(*(points_of(row) for row in scores.values()))
    return {label: at_points(row, shared) if len(shared) > 1 else row for label, row in scores.items()}


def matched_differences(
    label: str, reference: str, a: Scores, b: Scores, metrics: Sequence[Metric], resamples: int = RESAMPLES
) -> list[Difference]:
    """The reading of row ``label`` (``a``) minus that of ``reference`` (``b``), both at the points that both have.

    Read from other points than its twin's a curve would differ by that alone; without two in common there is nothing to
    compare (NaN).
    """
    shared = points_of(a) & points_of(b)
    if len(shared) < 2:
        return [Difference(math.nan, math.nan, math.nan, math.nan, 0) for _ in metrics]
    a, b = at_points(a, shared), at_points(b, shared)
    return differences(a, b, metrics, resamples, contrast=contrast_between(label, reference))


def contrast_between(label: str, reference: str) -> ContrastOf | None:
    """How two rows' readings are compared. The base brings its coverage along: where a sample's answers are swapped
    with the base's, so is what they add to the target. With the target left alone the test would not be exact.
    """
    if BASE not in (label, reference):
        return None
    base_is_a = label == BASE

    def compared(scores: Scores, of: Statistic) -> Contrast:
        target = [i for i, name in enumerate(scores.columns) if name.startswith(f"{BASE} ")]
        own = [scores.columns.index(f"{0:+g} {scores.columns[i].split(' ', 1)[1]}") for i in target]

        def contrast(x: Points, y: Points) -> Points:
            both = np.stack([x, y]).reshape(2, *x.shape[:-1], -1, len(scores.columns))
            both[..., target] = both[0 if base_is_a else 1][..., own]
            x, y = both.reshape(2, *x.shape)
            return np.asarray(of(x) - of(y))

        return contrast

    return compared


def at_coverage(coverage: Points, chair: Points, target: Points) -> Points:
    """CHAIR_i where each curve meets ``target``; shapes [points, ...], [points, ...] and [...].

    Linear between the points of a curve; beyond its ends the last segment is prolonged. NaN points are left out; NaN
    where fewer than two remain.
    """
    known = np.isfinite(coverage) & np.isfinite(chair)
    x = np.where(known, coverage, np.inf)
    order = np.argsort(x, axis=0, kind="stable")
    x, y = np.take_along_axis(x, order, axis=0), np.take_along_axis(chair, order, axis=0)
    count = known.sum(axis=0)
    right = np.asarray(np.clip((x < target).sum(axis=0), 1, np.maximum(count - 1, 1)))[None]
    (x0, x1), (y0, y1) = ([np.take_along_axis(a, i, axis=0)[0] for i in (right - 1, right)] for a in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(x1 > x0, (y1 - y0) / (x1 - x0), 0.0)  # points of one coverage have no slope
        return np.asarray(np.where(count > 1, y0 + slope * (target - x0), np.nan))


def _at(sums: Sums, point: str) -> Sums:
    """The sums of one point under the benchmark's own names."""
    names = [name for name in sums if name.startswith(f"{point} ")]
    return named_sums([name.split(" ", 1)[1] for name in names], np.stack([sums[name] for name in names], axis=-1))
