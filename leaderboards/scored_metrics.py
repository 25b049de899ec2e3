"""The metrics of one table with the numbers that they are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from harness.protocols.benchmark import Metric
from harness.stats import NOTHING, Difference, SeedVariance, holm, pooled_seed_variance
from leaderboards import coverage
from leaderboards.declared import primary_of
from leaderboards.differences import Measured, Side, compare_sides, measure, pairs_called_different
from leaderboards.members import Members
from leaderboards.run_groups import BASE
from leaderboards.scores import Scores, only, read_scores, same_groups, scored_samples
from leaderboards.snapshot import Snapshot

Tested = tuple[Difference, float]
"""A difference, and its p-value after Holm's correction."""


@dataclass(frozen=True)
class ScoredMetrics:
    """Metrics of a table and what they are computed from, by label; a label without scores has none of them.

    ``tradeoff``: what the one metric is read off the curve of; None of others.
    """

    metrics: Sequence[Metric]
    scores: Mapping[str, Scores]
    tradeoff: coverage.Tradeoff | None = None
    _measured: dict[str, Measured] = field(default_factory=dict, init=False, repr=False, compare=False)
    _beyond: dict[str, tuple[float, bool]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _families: dict[tuple[str, tuple[int, ...]], dict[str, list[Tested]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def row(self, label: str) -> Measured:
        """The metrics of a row on all of its samples, computed once."""
        if label not in self._measured:
            self._measured[label] = measure(self.scores[label], self.metrics)
        return self._measured[label]

    @cached_property
    def seed_variance(self) -> SeedVariance | None:
        """How much the methods vary from seed to seed, pooled over all that have several."""
        rows = [self.row(label) for label in self.scores]
        return pooled_seed_variance([row.figures for row in rows], [row.influence for row in rows])

    def differences(self, label: str, reference: str, which: Sequence[int] | None = None) -> list[Difference]:
        """Every metric of the one row minus that of the other, or of those that ``which`` names by position, on the
        samples that every seed and judge run of both scored."""
        which = range(len(self.metrics)) if which is None else which
        pair = self.common(label, reference)
        if not pair[0].samples:
            return [NOTHING for _ in which]
        a, b = (
            Side(scores, self._measure(name, scores).of(which), fixed=name == BASE)
            for name, scores in zip((label, reference), pair, strict=True)
        )
        found = compare_sides(a, b, None if self.seed_variance is None else self.seed_variance.of(which))
        beyond = [self.extrapolated(name, side) for name, side in zip((label, reference), pair, strict=True)]
        share, firm = max(share for share, _ in beyond), all(firm for _, firm in beyond)
        return [replace(difference, extrapolated=share, bracketed=firm) for difference in found]

    def extrapolated(self, label: str, scores: Scores) -> tuple[float, bool]:
        """How much of a row's reading off a curve is extrapolated, and whether it can be relied on."""
        if self.tradeoff is None:
            return 0.0, True
        if scores is not self.scores[label]:
            return coverage.extrapolated(scores, self.tradeoff)
        if label not in self._beyond:
            self._beyond[label] = coverage.extrapolated(scores, self.tradeoff)
        return self._beyond[label]

    def family(self, reference: str, which: Sequence[int] | None = None) -> dict[str, list[Tested]]:
        """Of every other row, by label, the differences to ``reference`` in every metric (or in ``which``), tested.

        The family of Holm's correction is these differences: all rows of the table that are compared with the same row,
        in one metric, whether they are shown or not. ``Difference.level`` is that of the first of Holm's steps.
        """
        key = reference, tuple(which or ())
        if key not in self._families:
            found = {label: self.differences(label, reference, which) for label in self.scores if label != reference}
            tested: dict[str, list[Tested]] = {label: [] for label in found}
            for i in range(len(which or self.metrics)):
                p = holm([each[i].p for each in found.values()])
                level = 0.05 / max(1, sum(map(math.isfinite, p)))
                for (label, each), adjusted in zip(found.items(), p, strict=True):
                    tested[label].append((replace(each[i], level=level), adjusted))
            self._families[key] = tested
        return self._families[key]

    def common(self, label: str, reference: str) -> tuple[Scores, Scores]:
        """Both rows on the samples that every seed and judge run of both scored."""
        a, b = self.scores[label], self.scores[reference]
        shared = scored_samples(a) & scored_samples(b)
        return only(a, shared), only(b, shared)

    def _measure(self, label: str, scores: Scores) -> Measured:
        return self.row(label) if scores is self.scores[label] else measure(scores, self.metrics)

    @property
    def a_a(self) -> dict[str, tuple[int, int]]:
        """By metric how many pairs of seeds of one method are called different, of how many pairs there are."""
        called, pairs = pairs_called_different([self.row(label) for label in self.scores], self.seed_variance)
        return {m.name: (int(c), int(n)) for m, c, n in zip(self.metrics, called, pairs, strict=True) if n}


def scored_metrics(
    benchmark: str, members: Members, metrics: Sequence[Metric], snapshot: Snapshot
) -> list[ScoredMetrics]:
    """The benchmark's own metrics, and hallucination at the base's coverage where at least two rows have a curve."""
    seeds, curves, verdicts = members.seeds, members.curves, snapshot.verdicts
    numbers = {label: snapshot.all_groups.training_seeds(list(group.values())) for label, group in seeds.items()}
    tables = {label: [verdicts(e) for e in group.values()] for label, group in seeds.items()}
    own = [
        ScoredMetrics(
            same,
            {
                label: replace(read_scores(of_seeds, same[0].groups), seeds=numbers[label])
                for label, of_seeds in tables.items()
            },
        )
        for same in same_groups(metrics)
    ]
    tradeoff = coverage.tradeoff_of(metrics, benchmark)
    if tradeoff is None:
        return own
    drawn = {label: coverage.curve_scores(list(group), curves[label], verdicts) for label, group in seeds.items()}
    known = {label: replace(scores, seeds=numbers[label]) for label, scores in drawn.items() if scores is not None}
    if len(known) < 2:
        return own
    return [*own, ScoredMetrics([tradeoff.matched], known, tradeoff)]


def best_row(benchmark: str, scored: Sequence[ScoredMetrics]) -> str | None:
    """The row with the best primary figure; None where no two have one."""
    primary = primary_of(benchmark, [metric for each in scored for metric in each.metrics])
    for each in scored:
        if primary is not None and primary in each.metrics:
            i = list(each.metrics).index(primary)
            figures = {label: float(each.row(label).figures[:, i].mean()) for label in each.scores}
            known = {label: figure for label, figure in figures.items() if math.isfinite(figure)}
            if len(known) > 1:
                return (max if primary.higher_is_better else min)(known, key=lambda label: known[label])
    return None
