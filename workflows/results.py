"""What the Python library returns: frozen records that can be looped over and made data frames of; nothing prints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich.console import Group, RenderableType

from harness.errors import UsageError, unknown_name
from harness.store import AlignmentRecord, EvaluationRecord

if TYPE_CHECKING:
    import pandas

    from leaderboards.comparison import Comparison as MetricComparison
    from leaderboards.rows import Table
    from leaderboards.view import View

Row = TypeVar("Row")


class Records(ABC):
    """Something that is a list of flat records as well."""

    @property
    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """One dictionary a row, all with the same keys; None where a number is undefined."""

    def to_pandas(self) -> pandas.DataFrame:
        """The records as a data frame; UsageError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise UsageError("to_pandas needs pandas: pip install pandas.") from error
        return pandas.DataFrame(self.records)

    def _repr_html_(self) -> str:
        """A notebook shows the data frame."""
        return str(self.to_pandas().to_html(index=False))


class RecordsOf(Records, Generic[Row]):
    """Records of some rows, which are looped over, counted and found by their place."""

    @property
    @abstractmethod
    def _rows(self) -> Sequence[Row]:
        """What is looped over."""

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]


@dataclass(frozen=True, repr=False)
class AlignResult(RecordsOf[Mapping[str, Any]]):
    """A finished alignment. Its records are the training log: a row an optimiser step.

    ``done_before``: it was finished in the store already, and nothing was trained.
    ``model`` names it wherever a model is asked for; ``config`` is all that determined it, ``info`` what was met on the
    way (hardness, route, software).
    """

    name: str
    method: str
    seed: int
    model_dir: Path
    seconds: float
    config: Mapping[str, Any]
    info: Mapping[str, Any]
    log: tuple[Mapping[str, Any], ...]
    done_before: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, record: AlignmentRecord, log: Sequence[Mapping[str, Any]], *, done_before: bool = False) -> AlignResult:
        """From what the store holds of an alignment."""
        facts = {name: getattr(record, name) for name in ("name", "method", "seed", "seconds", "config", "info")}
        return cls(**facts, model_dir=Path(record.model_dir), log=tuple(log), done_before=done_before)

    @property
    def model(self) -> str:
        return f"run:{self.name}"

    @property
    def last_step(self) -> Mapping[str, Any]:
        """The metrics of the last optimiser step."""
        return self.log[-1] if self.log else {}

    @property
    def records(self) -> list[dict[str, Any]]:
        return [dict(row) for row in self.log]

    @property
    def _rows(self) -> Sequence[Mapping[str, Any]]:
        return self.log

    def __repr__(self) -> str:
        return f"AlignResult({self.name!r}, {len(self.log)} steps, {self.seconds:.0f} s)"


@dataclass(frozen=True)
class Figure:
    """A metric's value with its 95 % interval; None where it is undefined (no sample counts, a single group)."""

    value: float | None
    low: float | None
    high: float | None
    unit: str
    higher_is_better: bool | None


@dataclass(frozen=True, repr=False)
class Evaluation(Records):
    """One model on one benchmark. Its records, and what is looped over, are its figures by metric.

    ``missing`` holds the ids of samples without an answer, ``usd`` what the judge cost now (None: it has no price).
    """

    record: EvaluationRecord
    missing: tuple[str, ...] = ()
    usd: float | None = None

    @property
    def run(self) -> str:
        return self.record.run

    @property
    def model(self) -> str:
        return self.record.model

    @property
    def benchmark(self) -> str:
        return self.record.benchmark

    @property
    def judge(self) -> str:
        return self.record.judge

    @property
    def n(self) -> int:
        """Samples of the benchmark; ``n_scored`` of them have a verdict, ``n_failed`` an error."""
        return self.record.n

    @property
    def n_scored(self) -> int:
        return self.record.n_scored

    @property
    def n_failed(self) -> int:
        return self.record.n_failed

    @property
    def complete(self) -> bool:
        """Whether every sample counts in the figures."""
        return self.n_scored == self.n

    @property
    def metrics(self) -> dict[str, Figure]:
        return {name: Figure(**row) for name, row in self.record.metrics.items()}

    @property
    def records(self) -> list[dict[str, Any]]:
        names = ("run", "model", "benchmark", "version", "mode", "judge", "n", "n_scored", "n_failed")
        about = {name: getattr(self.record, name) for name in names}
        return [{**about, "metric": name, **row} for name, row in self.record.metrics.items()]

    def __getitem__(self, metric: str) -> Figure:
        if metric not in self.record.metrics:
            raise unknown_name(f"metric of {self.benchmark}", metric, self.record.metrics)
        return self.metrics[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self.record.metrics)

    def __len__(self) -> int:
        return len(self.record.metrics)

    def __repr__(self) -> str:
        return f"Evaluation({self.run!r} on {self.benchmark!r}, {self.n_scored}/{self.n} scored)"

    def __rich__(self) -> RenderableType:
        return BenchResult((self,)).__rich__()


@dataclass(frozen=True, repr=False)
class BenchResult(RecordsOf[Evaluation]):
    """Evaluations, one for each model and benchmark. ``usd`` is what the judge cost now (None: it has no price)."""

    evaluations: tuple[Evaluation, ...]
    usd: float | None = None

    @property
    def complete(self) -> bool:
        """Whether every sample of every evaluation counts in its figures."""
        return all(evaluation.complete for evaluation in self.evaluations)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [row for evaluation in self.evaluations for row in evaluation.records]

    @property
    def _rows(self) -> Sequence[Evaluation]:
        return self.evaluations

    def __repr__(self) -> str:
        runs, benchmarks = ({getattr(e, name) for e in self} for name in ("run", "benchmark"))
        return f"BenchResult({len(runs)} models on {len(benchmarks)} benchmarks)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.terminal import evaluation_table

        return evaluation_table([evaluation.record for evaluation in self.evaluations])


@dataclass(frozen=True, repr=False)
class Comparison(RecordsOf["MetricComparison"]):
    """A against B: for every metric of every benchmark both were run on, the paired difference A - B.

    ``left_out`` names stored benchmarks that cannot be compared here (their package was uninstalled) and says why.
    """

    a: str
    b: str
    differences: tuple[MetricComparison, ...]
    left_out: tuple[str, ...] = ()

    @property
    def records(self) -> list[dict[str, Any]]:
        from leaderboards.formats.data import comparison_records

        return comparison_records(self.differences)

    @property
    def _rows(self) -> Sequence[MetricComparison]:
        return self.differences

    def __repr__(self) -> str:
        return f"Comparison({self.a!r} - {self.b!r}, {len(self.differences)} metrics)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.comparison_view import comparison_table

        return comparison_table(self.differences, self.a, self.b)


@dataclass(frozen=True, repr=False)
class Leaderboard(RecordsOf[dict[str, Any]]):
    """All runs of a results file. Its records are the JSON format's: one for each benchmark, row and metric."""

    view: View = field(repr=False)

    @property
    def tables(self) -> tuple[Table, ...]:
        """One a benchmark and condition, with its rows and their cells."""
        return tuple(self.view.tables)

    @property
    def records(self) -> list[dict[str, Any]]:
        from leaderboards.formats.data import records

        return records(self.view.full_tables)

    def render(self, format: str = "markdown") -> str:
        """The leaderboard as text in any registered format (`list formats`)."""
        from leaderboards.formats.registry import FORMATS

        return FORMATS.get(format)().text(self.view)

    def write(self, file: str | Path, format: str | None = None) -> list[Path]:
        """Write ``file`` in ``format`` (None: as its name says, see ``format_of``); returns the files."""
        from leaderboards.formats.registry import FORMATS, format_of

        return FORMATS.get(format or format_of(file))().write(self.view, Path(file))

    @property
    def _rows(self) -> Sequence[dict[str, Any]]:
        return self.records

    def __repr__(self) -> str:
        rows = sum(len(table.rows) for table in self.view.tables)
        return f"Leaderboard({len(self.view.tables)} tables, {rows} rows)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.registry import FORMATS

        return Group(*FORMATS.get("table")().rich(self.view))
