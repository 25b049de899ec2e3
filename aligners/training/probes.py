"""Probe pairs: some pairs of every split whose reward gaps are recorded during training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from aligners.pairs.encoding import Encoded, Encoder
from aligners.training.preference_data import PreferenceData
from harness.protocols.progress import Progress, silent

PROBE_PAIRS = 60
T = TypeVar("T")


def spread(items: Sequence[T], count: int = PROBE_PAIRS) -> list[T]:
    """At most ``count`` items at equal distances."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


class Probes:
    """The probe pairs of every split, encoded once. ``every``: steps between measurements, 0 for none in between."""

    def __init__(self, splits: Mapping[str, PreferenceData], encoder: Encoder, every: int) -> None:
        self._splits, self._encoder, self._every = splits, encoder, every
        self._encoded: dict[str, list[Encoded]] = {}

    def due(self, step: int, last: int) -> bool:
        """Whether the gaps are measured after ``step`` of ``last`` steps."""
        return step == last or bool(self._every and step % self._every == 0)

    def measure(
        self,
        gaps_of: Callable[[PreferenceData, Sequence[Encoded]], Tensor],
        batch_size: int,
        progress: Progress = silent,
    ) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """(split, (pair id, gap in nats) of each of its pairs), by ``gaps_of`` on at most ``batch_size`` pairs."""
        total = sum(len(data.pairs) for data in self._splits.values())
        done = 0
        for split, data in self._splits.items():
            if split not in self._encoded:
                self._encoded[split] = [self._encoder(i, pair) for i, pair in enumerate(data.pairs)]
            pairs, gaps = self._encoded[split], []
            for start in range(0, len(pairs), batch_size):
                chunk = pairs[start : start + batch_size]
                gaps.append(gaps_of(data, chunk))
                done += len(chunk)
                progress("probe pairs", done, total)
            yield split, list(zip((pair.id for pair in pairs), torch.cat(gaps).tolist(), strict=True))
