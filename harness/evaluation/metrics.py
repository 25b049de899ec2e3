"""From verdicts to figures: the sums over samples, each metric of them, and its bootstrap interval."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.protocols.benchmark import Metric, Sums
from harness.protocols.official import is_official
from harness.stats import bootstrap_sums, enough_to_resample, group_sums, interval_of

RESAMPLES = 1000
SEED = 20250201


class HasCounts(Protocol):
    """A verdict, fresh or stored."""

    @property
    def counts(self) -> Mapping[str, float]: ...


class HasVerdict(HasCounts, Protocol):
    """A verdict with the sample and judge run that it is about; ``group``: what is resampled together ("": alone)."""

    @property
    def sample_id(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def group(self) -> str: ...
    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True)
class Scored:
    """A verdict as figures are made of it: of a sample, or of a group of samples (``sample_id``: the group)."""

    sample_id: str
    run: int
    group: str
    counts: Mapping[str, float]
    error: str | None = None


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


def group_verdicts(verdicts: Sequence[HasVerdict], groups: Mapping[str, str]) -> list[Scored]:
    """A verdict for every group of ``groups`` (sample id -> group) and judge run: ``Metric.groups`` says by which rule.

    A group with a failed or missing sample has an error, and no counts but the ``official_*`` ones that failed samples
    have. Where all samples of each group are of one image, groups of one image are resampled together, else each stands
    for itself.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for sample_id, group in groups.items():
        members[group].append(sample_id)
    of_sample = {verdict.sample_id: verdict.group for verdict in verdicts}
    images = {group: {of_sample[i] for i in ids if i in of_sample} for group, ids in members.items()}
    nested = all(len(of_group) < 2 and "" not in of_group for of_group in images.values())
    by_run: dict[int, dict[str, HasVerdict]] = defaultdict(dict)
    for verdict in verdicts:
        by_run[verdict.run][verdict.sample_id] = verdict
    scored = []
    for run in sorted(by_run):
        for group, ids in members.items():
            present = [by_run[run][i] for i in ids if i in by_run[run]]
            counts = _smallest(present) if len(present) == len(ids) else {}
            lost = len(ids) - sum(verdict.error is None for verdict in present)
            if lost:
                counts = {name: count for name, count in counts.items() if is_official(name)}
            error = f"{lost} of {len(ids)} samples of the group failed or are missing" if lost else None
            together = next(iter(images[group]), group) if nested else group
            scored.append(Scored(group, run, together, counts, error))
    return scored


def _smallest(verdicts: Sequence[HasCounts]) -> dict[str, float]:
    """Every count's smallest value; a count that one verdict does not hold is 0."""
    return {name: min(v.counts.get(name, 0.0) for v in verdicts) for name in columns_of(verdicts)}


class _Resampled:
    """The sums of a set of verdicts, of their bootstrap resamples, and of every group by itself, run by run.

    All judge runs are resampled together: a sample that one of them could not read has no numbers there.
    """

    def __init__(self, scored: Sequence[HasVerdict]) -> None:
        runs = sorted({verdict.run for verdict in scored}) or [0]
        self.columns = columns_of(scored)
        groups = {verdict.sample_id: verdict.group for verdict in reversed(scored)}
        rows = {sample: row for row, sample in enumerate(dict.fromkeys(verdict.sample_id for verdict in scored))}
        values = np.zeros((len(rows), len(runs), len(self.columns)))
        at = [rows[verdict.sample_id] for verdict in scored], [runs.index(verdict.run) for verdict in scored]
        values[at] = matrix(scored, self.columns).reshape(len(scored), len(self.columns))
        self._shape = values.shape[1:]
        self.point = values.sum(axis=0)
        self.draws = self.alone = np.zeros((len(runs), 0, len(self.columns)))
        images = [groups[sample] for sample in rows]
        if enough_to_resample(images):
            flat = values.reshape(len(rows), -1)
            self.alone = self._by_run(group_sums(flat, images))
            self.draws = self._by_run(bootstrap_sums(flat, images, resamples=RESAMPLES, seed=SEED))

    def _by_run(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """[runs, rows, columns] of [rows, runs * columns]."""
        return np.moveaxis(sums.reshape(len(sums), *self._shape), 1, 0)

    def figure(self, metric: Metric) -> tuple[float, float, float]:
        """Value and 95 % interval; NaN where there is none."""
        value = float(value_over_runs(metric, self.columns, self.point))
        if not self.draws.shape[1]:
            return value, math.nan, math.nan
        draws, alone = (value_over_runs(metric, self.columns, sums) for sums in (self.draws, self.alone))
        low, high = interval_of(draws[:, None], alone[:, None], [metric.is_share])
        return value, float(low[0]), float(high[0])


def summarise(metrics: Sequence[Metric], scored: Sequence[HasVerdict]) -> dict[str, dict[str, Any]]:
    """Value, 95 % bootstrap interval, unit and direction of every metric; null where there is none.

    Of a metric over groups also how many groups are counted, and how many are not since a sample of theirs has no
    verdict: ``groups`` and ``groups_left_out``.
    """
    plain = _Resampled(scored)
    table = {}
    for metric in metrics:
        grouped = None if metric.groups is None else group_verdicts(scored, metric.groups)
        value, low, high = (plain if grouped is None else _Resampled(grouped)).figure(metric)
        table[metric.name] = {
            "value": _finite(value),
            "low": _finite(low),
            "high": _finite(high),
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
        }
        if grouped is not None:
            everything = set((metric.groups or {}).values())
            official = is_official(metric.name)  # official rules count failed samples too
            failed = {v.sample_id for v in grouped if v.error is not None and not (official and v.counts)}
            counted = {verdict.sample_id for verdict in grouped} - failed
            table[metric.name] |= {"groups": len(counted), "groups_left_out": len(everything - counted)}
    return table


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
