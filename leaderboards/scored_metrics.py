"""The metrics of one table with the numbers that they are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards import coverage
from leaderboards.members import Members
from leaderboards.scores import Scores, differences, read_scores, same_groups
from leaderboards.snapshot import Snapshot


@dataclass(frozen=True)
class ScoredMetrics:
    """Metrics of a table and what they are computed from, by label; a label without scores has none of them.

    ``tradeoff``: what the one metric is read off the curve of; None of others.
    """

    metrics: Sequence[Metric]
    scores: Mapping[str, Scores]
    tradeoff: coverage.Tradeoff | None = None

    def differences(self, label: str, reference: str, resamples: int) -> list[Difference]:
        """Every metric of the one row minus that of the other."""
        a, b = self.scores[label], self.scores[reference]
        if self.tradeoff is not None:
            return coverage.matched_differences(a, b, self.tradeoff, resamples)
        return differences(a, b, self.metrics, resamples)


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
