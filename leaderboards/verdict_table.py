"""The verdicts of one evaluation as arrays: thousands of samples of many evaluations stay in memory together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.evaluation.metrics import HasVerdict, Scored, columns_of, matrix


@dataclass(frozen=True)
class VerdictTable:
    """One row a verdict.

    Args:
        samples: the sample id of every row.
        runs: the judge run of every row, shape [rows].
        groups: what every row is resampled together with.
        columns: names of the numbers.
        counts: shape [rows, columns]; 0 where a verdict does not hold the number; of the smallest type that is exact.
        errors: by row, why the sample was not scored; rows that were are absent.
    """

    samples: tuple[str, ...]
    runs: NDArray[np.int64]
    groups: tuple[str, ...]
    columns: tuple[str, ...]
    counts: NDArray[Any]
    errors: Mapping[int, str]

    @classmethod
    def of(cls, verdicts: Sequence[HasVerdict]) -> VerdictTable:
        """The table of ``verdicts``, in their order."""
        columns = columns_of(verdicts)
        return cls(
            samples=tuple(v.sample_id for v in verdicts),
            runs=np.array([v.run for v in verdicts], dtype=np.int64),
            groups=tuple(v.group for v in verdicts),
            columns=tuple(columns),
            counts=_smallest(matrix(verdicts, columns).reshape(len(verdicts), len(columns))),
            errors={i: v.error for i, v in enumerate(verdicts) if v.error is not None},
        )

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Whether a row was scored without error, shape [rows]."""
        mask = np.ones(len(self), dtype=bool)
        mask[list(self.errors)] = False
        return mask

    def rows(self) -> Iterator[Scored]:
        """The rows one by one."""
        for i, (sample, run, group) in enumerate(zip(self.samples, self.runs.tolist(), self.groups, strict=True)):
            counts = dict(zip(self.columns, map(float, self.counts[i]), strict=True))
            yield Scored(sample, run, group, counts, self.errors.get(i))


def _smallest(counts: NDArray[np.float64]) -> NDArray[Any]:
    """The same numbers in an eighth of the memory where all are small whole numbers, in half where those are exact."""
    with np.errstate(invalid="ignore", over="ignore"):
        for kind in (np.uint8, np.float32):
            small = counts.astype(kind)
            if np.array_equal(small, counts):
                return small
    return counts
