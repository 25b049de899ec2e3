"""What answers that need no model score: reference rows beside which a figure is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from harness.evaluation.metrics import HasCounts, Scored, group_verdicts, named_sums
from harness.protocols.benchmark import Benchmark, Metric, Sample, Sums

TrivialFigures = Mapping[str, Mapping[str, float]]
"""By what a trivial answer is called its figures by metric; NaN where there is none."""


def trivial_figures(benchmark: Benchmark, samples: Sequence[Sample], metrics: Sequence[Metric]) -> TrivialFigures:
    """The figures of each of ``benchmark.trivial_answers``, by the benchmark's own scorer from the samples' labels.

    Stored samples, which have no resources, do. A metric of what no trivial answer answers (captions) is NaN, and so is
    one that only a judge can give (``official_*`` of a benchmark with a judge).
    """
    figures = {}
    for label, answer in benchmark.trivial_answers.items():
        verdicts = [(sample, benchmark.trivial_verdict(sample, answer)) for sample in samples]
        scored = [Scored(s.id, 0, s.group, v.counts, v.error) for s, v in verdicts if v is not None]
        if scored:
            figures[label] = _figures(scored, metrics)
    return figures


def _figures(scored: Sequence[Scored], metrics: Sequence[Metric]) -> dict[str, float]:
    plain, figures = _sums(scored), {}
    for metric in metrics:
        sums = plain if metric.groups is None else _sums(group_verdicts(scored, metric.groups))
        figures[metric.name] = float(metric.compute(sums))
    return figures


def _sums(scored: Sequence[HasCounts]) -> Sums:
    totals: dict[str, float] = defaultdict(float)
    for verdict in scored:
        for name, count in verdict.counts.items():
            totals[name] += count
    return named_sums(list(totals), np.array(list(totals.values())))
