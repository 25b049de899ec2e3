"""Probe pairs: some pairs of every split whose reward gaps are recorded during training, divided among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from accelerate.utils import gather_object
from torch import Tensor

from aligners.pairs.encoding import Encoded, Encoder
from aligners.training.preference_data import PreferenceData
from harness.protocols.progress import Progress, silent
from harness.util.distributed import rank_and_world_size

PROBE_PAIRS = 60
T = TypeVar("T")


def spread(items: Sequence[T], count: int = PROBE_PAIRS) -> list[T]:
    """At most ``count`` items at equal distances."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def shares(count: int, ranks: int) -> list[list[int]]:
    """The numbers below ``count`` by rank, equally many each, since all ranks must take part in every forward: where
    they do not divide, some ranks have one that another has too.
    """
    each = -(-count // ranks)
    return [[(rank + ranks * n) % count for n in range(each)] for rank in range(ranks)]


class Probes:
    """The probe pairs of every split, this process's share of them encoded once. ``every``: steps between
    measurements, 0 for none in between.
    """

    def __init__(self, splits: Mapping[str, PreferenceData], encoder: Encoder, every: int) -> None:
        self._splits, self._encoder, self._every = splits, encoder, every
        self._encoded: dict[str, list[Encoded]] = {}
        self._rank, self._ranks = rank_and_world_size()

    def due(self, step: int, last: int) -> bool:
        """Whether the gaps are measured after ``step`` of ``last`` steps."""
        return step == last or bool(self._every and step % self._every == 0)

    def measure(
        self,
        gaps_of: Callable[[PreferenceData, Sequence[Encoded]], Tensor],
        batch_size: int,
        progress: Progress = silent,
    ) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """(split, (pair id, gap in nats) of each of its pairs), by ``gaps_of`` on at most ``batch_size`` pairs.

        Every process measures its share, and gets the gaps of all.
        """
        total = sum(len(data.pairs) for data in self._splits.values())
        done = 0
        for split, data in self._splits.items():
            mine = shares(len(data.pairs), self._ranks)[self._rank]
            if split not in self._encoded:
                self._encoded[split] = [self._encoder(i, data.pairs[i]) for i in mine]
            pairs, found = self._encoded[split], []
            for start in range(0, len(pairs), batch_size):
                chunk = pairs[start : start + batch_size]
                found += [(pair.index, gap) for pair, gap in zip(chunk, gaps_of(data, chunk).tolist(), strict=True)]
                progress("probe pairs", done + min(len(data.pairs), len(found) * self._ranks), total)
            done += len(data.pairs)
            gaps = dict(gather_object(found))
            yield split, [(pair.id, gaps[i]) for i, pair in enumerate(data.pairs)]
