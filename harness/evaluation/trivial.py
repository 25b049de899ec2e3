"""What answers that need no model score: reference rows beside which a figure is read."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evaluation.metrics import Scored, columns_of, group_verdicts, matrix, named_sums
from harness.protocols.benchmark import Benchmark, Metric, Sample


def trivial_figures(
    benchmark: Benchmark, samples: Sequence[Sample], metrics: Sequence[Metric]
) -> dict[str, dict[str, float]]:
    """By each of ``benchmark.trivial_answers`` its figures, by the benchmark's own scorer from the samples' labels.

    Stored samples, which have no resources, do. A metric of what no trivial answer answers (captions) is NaN, and so is
    one of a benchmark that asks a judge: what that would say of them is not known.
    """
    answered = [] if benchmark.needs_judge else [s for s in samples if benchmark.trivially_answered(s)]
    if not answered:
        return {}
    return {
        label: _figures(benchmark, answered, answer, metrics) for label, answer in benchmark.trivial_answers.items()
    }


def _figures(
    benchmark: Benchmark, samples: Sequence[Sample], answer: str, metrics: Sequence[Metric]
) -> dict[str, float]:
    verdicts = [(sample, benchmark.verdict(sample, answer, [])) for sample in samples]
    scored = [Scored(s.id, 0, s.group, v.counts, v.error) for s, v in verdicts]
    return {metric.name: _figure(metric, scored) for metric in metrics}


def _figure(metric: Metric, scored: Sequence[Scored]) -> float:
    counted = scored if metric.groups is None else group_verdicts(scored, metric.groups)
    columns = columns_of(counted)
    return float(metric.compute(named_sums(columns, matrix(counted, columns).sum(axis=0))))
