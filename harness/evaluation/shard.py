"""One shard of several of a benchmark's samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import UsageError
from harness.protocols.benchmark import Sample


@dataclass(frozen=True)
class Shard:
    """The ``index``-th (from 1) of ``count`` parts that together hold every sample once."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "2/4"; raises UsageError for anything else."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise UsageError(f"--shard {text}: expected I/N with 1 <= I <= N, for example 2/4.")
        return cls(int(index), int(count))

    def of(self, samples: Sequence[Sample]) -> list[Sample]:
        """This shard's samples. Those of one image stay together, so that it is encoded once."""
        groups = {group: i for i, group in enumerate(dict.fromkeys(s.image_group for s in samples))}
        return [s for s in samples if groups[s.image_group] % self.count == self.index - 1]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"
