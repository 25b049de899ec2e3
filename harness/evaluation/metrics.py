"""From verdicts to figures: the sums over samples, each metric of them, and its bootstrap interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.protocols.benchmark import Metric, Sums, Verdict
from harness.stats import bootstrap_sums, enough_to_resample

RESAMPLES = 1000
SEED = 20250201


class HasCounts(Protocol):
    """A verdict, fresh or stored."""

    @property
    def counts(self) -> Mapping[str, float]: ...


Scored = tuple[str, int, Verdict]
"""(group, judge run, verdict)"""


def columns_of(verdicts: Sequence[HasCounts]) -> list[str]:
    """The names of all numbers the verdicts hold, sorted."""
    return sorted({name for verdict in verdicts for name in verdict.counts})


def matrix(verdicts: Sequence[HasCounts], columns: Sequence[str]) -> NDArray[np.float64]:
    """The verdicts' numbers, shape [len(verdicts), len(columns)]; a number a verdict does not hold is 0."""
    return np.array([[v.counts.get(name, 0.0) for name in columns] for v in verdicts], dtype=np.float64)


class _Lenient(dict[str, NDArray[np.float64]]):
    """Sums by name; a name that no verdict holds sums to 0 in the shape of the others."""

    def __init__(self, columns: Sequence[str], sums: NDArray[np.float64]) -> None:
        super().__init__({name: sums[..., i] for i, name in enumerate(columns)})
        self._shape = sums.shape[:-1]

    def __missing__(self, name: str) -> NDArray[np.float64]:
        return np.zeros(self._shape)


def named_sums(columns: Sequence[str], sums: NDArray[np.float64]) -> Sums:
    """Sums of shape [..., len(columns)] as a mapping from name to an array of shape [...]."""
    return _Lenient(columns, sums)


def value_over_runs(metric: Metric, columns: Sequence[str], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """A metric of sums of shape [runs, ..., columns]: the mean (or spread) over runs of the per-run value, [...]."""
    values = metric.compute(named_sums(columns, sums))
    counted = np.isfinite(values)  # a run in which nothing could be read says nothing of the others
    with np.errstate(invalid="ignore"):
        mean = np.where(counted, values, 0.0).sum(axis=0) / counted.sum(axis=0)
        if metric.over_runs == "mean":
            return np.asarray(mean)
        return np.asarray(np.sqrt(np.where(counted, (values - mean) ** 2, 0.0).sum(axis=0) / counted.sum(axis=0)))


def summarise(metrics: Sequence[Metric], scored: Sequence[Scored]) -> dict[str, dict[str, Any]]:
    """Value, 95 % bootstrap interval over groups, unit and direction of every metric; null where there is none."""
    runs = sorted({run for _, run, _ in scored}) or [0]
    columns = columns_of([verdict for _, _, verdict in scored])
    point, resampled = [], []
    for run in runs:
        verdicts = [verdict for _, r, verdict in scored if r == run]
        values = matrix(verdicts, columns).reshape(len(verdicts), len(columns))
        groups = [group for group, r, _ in scored if r == run]
        point.append(values.sum(axis=0))
        if enough_to_resample(groups):
            resampled.append(bootstrap_sums(values, groups, resamples=RESAMPLES, seed=SEED))
    table = {}
    for metric in metrics:
        value = float(value_over_runs(metric, columns, np.array(point)))
        low, high = math.nan, math.nan
        if resampled:
            draws = value_over_runs(metric, columns, np.array(resampled))
            draws = draws[np.isfinite(draws)]
            if len(draws):
                low, high = np.percentile(draws, [2.5, 97.5])
        table[metric.name] = {
            "value": _finite(value),
            "low": _finite(low),
            "high": _finite(high),
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
        }
    return table


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
