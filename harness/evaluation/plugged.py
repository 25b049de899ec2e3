"""What other people's benchmarks, models and judges return, checked where it enters: rubbish is named, never scored."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from harness.errors import HarnessError
from harness.protocols.benchmark import Benchmark, BenchmarkData, Metric, Sample
from harness.protocols.judge import Reply
from harness.protocols.model import Answer

Given = TypeVar("Given", Answer, Reply)


def checked_data(benchmark: Benchmark, data: object) -> BenchmarkData:
    """What ``benchmark.load`` returned. Raises HarnessError if it is no data with samples."""
    who = f"benchmark {benchmark.name}: load"
    if not isinstance(data, BenchmarkData):
        raise _fault(who, data, "a BenchmarkData")
    for number, sample in enumerate(data.samples):
        if not (isinstance(sample, Sample) and isinstance(sample.id, str) and isinstance(sample.prompt, str)):
            raise _fault(f"{who}, sample {number}", sample, "a Sample whose id and prompt are texts")
    return data


def checked_metrics(benchmark: Benchmark, metrics: object) -> Sequence[Metric]:
    """What ``benchmark.metrics`` returned. Raises HarnessError if it is no list of metrics."""
    if isinstance(metrics, list | tuple) and all(isinstance(metric, Metric) for metric in metrics):
        return metrics
    raise _fault(f"benchmark {benchmark.name}: metrics", metrics, "a list of Metric")


def each_once(given: Iterable[tuple[int, Given]], count: int, who: str, missing: Given) -> Iterator[tuple[int, Given]]:
    """What a model or a judge yields for ``count`` questions, then ``missing`` for those that it passed over.

    Raises HarnessError where it yields anything but a position, once, and what ``missing`` is one of.
    """
    left = set(range(count))
    for each in given:
        try:
            position, made = operator.index(each[0]), each[1]
            good = isinstance(made, type(missing))
        except (TypeError, IndexError, KeyError):
            good = False
        if not good or position not in left:
            raise _fault(who, each, f"a position of 0 to {count - 1}, each once, and a {type(missing).__name__}")
        left.discard(position)
        yield position, made
    yield from ((position, missing) for position in sorted(left))


def _fault(who: str, given: object, expected: str) -> HarnessError:
    return HarnessError(
        f"{who} gives {_shown(given)}, expected {expected}. Mend or uninstall that package; what was stored before is "
        "kept."
    )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
