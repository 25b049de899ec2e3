"""`--limit N`: at most N samples of a benchmark, drawn from all its parts in proportion.

Whatever else is there, a sample has the same place in its part's order, and the shares of a larger N are no smaller: so
the samples of a smaller N are among those of a larger one, and their stored answers are used again. Only where samples
stay together in groups (``draw``) may a larger N hold a large group in place of a small one.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from harness.protocols.benchmark import Benchmark, Sample

SEED = 0


def draw(benchmark: Benchmark, samples: Sequence[Sample], limit: int, seed: int = SEED) -> list[Sample]:
    """At most ``limit`` of ``samples``, in their order. Those of one ``Benchmark.drawn_with`` stay together and, where
    a metric counts groups of samples, those of one ``Sample.group``, since a group that is half there is easier.
    """
    if limit >= len(samples):
        return list(samples)
    whole = any(metric.groups for metric in benchmark.metrics(samples))
    units: defaultdict[str, defaultdict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        units[benchmark.part(sample)][sample.image_group if whole else benchmark.drawn_with(sample)].append(sample)
    sizes = {part: sum(map(len, members.values())) for part, members in units.items()}
    taken: set[str] = set()
    for part, count in shares(sizes, limit).items():
        ordered = [units[part][unit] for unit in sorted(units[part], key=partial(_place, seed))]
        taken.update(sample.id for sample in _fitting(ordered, count))
    return [sample for sample in samples if sample.id in taken]


def shares(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """``count`` places dealt to parts of ``sizes`` (not fewer in all): one each, the largest part first, then each
    place to the part that is furthest below its proportion (Webster's method, which has no share shrink when ``count``
    grows).
    """
    given = dict.fromkeys(sizes, 0)
    for _ in range(count):
        open_ = [part for part in sizes if given[part] < sizes[part]]
        given[max(open_, key=lambda part: (given[part] == 0, sizes[part] / (2 * given[part] + 1)))] += 1
    return given


def _place(seed: int, unit: str) -> str:
    return hashlib.sha256(f"{seed} {unit}".encode()).hexdigest()


def _fitting(units: Sequence[Sequence[Sample]], count: int) -> list[Sample]:
    """The units that fit into ``count`` samples, in order; a beginning of the first one where none does."""
    taken: list[Sample] = []
    for unit in units:
        if len(taken) + len(unit) <= count:
            taken += unit
    return taken or list(units[0][:count])
