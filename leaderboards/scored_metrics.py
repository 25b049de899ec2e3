"""The metrics of one table with the numbers that they are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

from harness.protocols.benchmark import Metric
from harness.stats import NOTHING, Difference, SeedVariance, holm, pooled_seed_variance
from leaderboards import coverage
from leaderboards.declared import primary_of
from leaderboards.differences import Measured, Side, compare_sides, measure, pairs_called_different, turned
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
    _differences: dict[tuple[str, str], list[Difference]] = field(
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

    def differences(self, label: str, reference: str) -> list[Difference]:
        """Every metric of the one row minus that of the other, on the samples that every seed and judge run of both
        scored; the other way round only the signs are others."""
        if (label, reference) not in self._differences:
            pair = self.common(label, reference)
            if not pair[0].samples:
                return [NOTHING for _ in self.metrics]
            a, b = (
                Side(scores, self._measure(name, scores), fixed=name == BASE)
                for name, scores in zip((label, reference), pair, strict=True)
            )
            beyond = [self.extrapolated(name, side) for name, side in zip((label, reference), pair, strict=True)]
            share, firm = max(share for share, _ in beyond), all(firm for _, firm in beyond)
            found = [
                replace(_cut(difference, metric), extrapolated=share, bracketed=firm)
                for difference, metric in zip(compare_sides(a, b, self.seed_variance), self.metrics, strict=True)
            ]
            self._differences[label, reference] = found
            self._differences[reference, label] = turned(found, a, b)
        return self._differences[label, reference]

    def extrapolated(self, label: str, scores: Scores) -> tuple[float, bool]:
        """How much of a row's reading off a curve is extrapolated, and whether it can be relied on."""
        if self.tradeoff is None:
            return 0.0, True
        if scores is not self.scores[label]:
            return coverage.extrapolated(scores, self.tradeoff)
        if label not in self._beyond:
            self._beyond[label] = coverage.extrapolated(scores, self.tradeoff)
        return self._beyond[label]

    @cached_property
    def tested(self) -> dict[tuple[str, str], list[Tested]]:
        """Of every two rows (A, B) and (B, A) their differences in every metric, tested.

        The family of Holm's correction is all pairs of rows of the table in one metric, whether they are shown or not:
        so any of them may be picked after the figures were seen (the best row, say), and A against B has one adjusted
        p, whichever row the others are compared with. ``Difference.level`` is that of the first of Holm's steps; the
        later ones have Shaffer's counts where equality is transitive (``_compared_rows``).
        """
        pairs = list(combinations(self.scores, 2))
        tested: dict[tuple[str, str], list[Tested]] = {way: [] for a, b in pairs for way in ((a, b), (b, a))}
        for i in range(len(self.metrics)):
            found = {pair: self.differences(*pair)[i] for pair in pairs}
            adjusted = holm([difference.p for difference in found.values()], self._compared_rows(found))
            level = 0.05 / max(1, sum(map(math.isfinite, adjusted)))
            for (a, b), p in zip(pairs, adjusted, strict=True):
                for way in ((a, b), (b, a)):
                    tested[way].append((replace(self.differences(*way)[i], level=level), p))
        return tested

    @cached_property
    def _samples(self) -> dict[str, frozenset[str]]:
        return {label: frozenset(scored_samples(scores)) for label, scores in self.scores.items()}

    def _compared_rows(self, found: Mapping[tuple[str, str], Difference]) -> int | None:
        """How many rows are compared, where two that equal a third one equal each other: all on the same samples, and
        all as methods or all as checkpoints. None where that does not follow."""
        tests = {pair: difference for pair, difference in found.items() if math.isfinite(difference.p)}
        rows = {label for pair in tests for label in pair}
        samples = {self._samples[label] for label in rows}
        kinds = {difference.kind for difference in tests.values()}
        return len(rows) if max(len(samples), len(kinds)) <= 1 else None

    def family(self, position: int) -> int:
        """How many pairs of rows are tested in the metric at ``position``."""
        return sum(math.isfinite(tests[position][1]) for tests in self.tested.values()) // 2

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


def _cut(difference: Difference, metric: Metric) -> Difference:
    low, high = metric.difference_within(difference.value, difference.low, difference.high)
    return replace(difference, low=low, high=high)


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
    drawn = {label: coverage.curve_scores(list(group), curves, verdicts) for label, group in seeds.items()}
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
