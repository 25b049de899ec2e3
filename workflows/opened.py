"""A results file opened for reading: `dama.open`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.errors import unknown_name
from harness.store import Store, VerdictRecord
from workflows.library import compare, leaderboard
from workflows.results import AlignResult, BenchResult, Comparison, Evaluation, Leaderboard, RecordsOf


@dataclass(frozen=True, repr=False)
class Verdicts(RecordsOf[VerdictRecord]):
    """The verdicts of an evaluation, one for each sample and judge run: counts, or the error that it failed with."""

    verdicts: tuple[VerdictRecord, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [{**(row := asdict(verdict)), **row.pop("counts")} for verdict in self.verdicts]

    @property
    def _rows(self) -> Sequence[VerdictRecord]:
        return self.verdicts

    def __repr__(self) -> str:
        return f"Verdicts({len(self.verdicts)})"


class Results:
    """A results file that exists; a context manager that closes it. Its data frame is that of all its evaluations."""

    def __init__(self, db: str | Path) -> None:
        self.db = Path(db)
        self._store = Store.reading(db)

    @property
    def runs(self) -> list[str]:
        """Everything that was aligned or benchmarked, oldest first."""
        named = [a.name for a in self._store.alignments()] + [e.run for e in self._store.evaluations()]
        return list(dict.fromkeys(named))

    @property
    def alignments(self) -> tuple[AlignResult, ...]:
        """The finished alignments, oldest first."""
        done = [a for a in self._store.alignments() if a.status == "done"]
        return tuple(AlignResult.of(a, self._store.train_log(a.name)) for a in done)

    def evaluations(self, *, run: str | None = None, benchmark: str | None = None) -> BenchResult:
        """The stored evaluations, oldest first; those of a run or of a benchmark. An unknown run is a UsageError."""
        if run is not None and run not in self.runs:
            raise unknown_name("run", run, self.runs)
        return BenchResult(tuple(map(Evaluation, self._store.evaluations(run=run, benchmark=benchmark))))

    def verdicts(self, evaluation: Evaluation) -> Verdicts:
        """What every answer of an evaluation was found to be."""
        return Verdicts(tuple(self._store.verdicts(evaluation.record.id)))

    def leaderboard(self, *, suite: str | None = None, **filters: Any) -> Leaderboard:
        """As ``dama.leaderboard``, with its filters."""
        return leaderboard(suite=suite, **filters, db=self.db)

    def compare(self, a: str | AlignResult, b: str | AlignResult) -> Comparison:
        """As ``dama.compare``."""
        return compare(a, b, db=self.db)

    def show(self, run: str, *, samples: int = 5, sample: Sequence[str] = ()) -> dict[str, Any]:
        """Everything stored of a run: settings, figures, and some of its answers, or those to the samples named."""
        from leaderboards.snapshot import Snapshot
        from workflows.report import run_facts

        return run_facts(Snapshot(self._store), run, samples, sample)

    def to_pandas(self) -> Any:
        """The figures of all evaluations, a row for each run, benchmark and metric."""
        return self.evaluations().to_pandas()

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Results({str(self.db)!r}, {len(self.runs)} runs)"


def open(db: str | Path = "results.sqlite") -> Results:
    """The results file ``db``; one that does not exist is a UsageError."""
    return Results(db)
