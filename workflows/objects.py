"""`objects`: which objects one model hallucinates and another does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from workflows.requests import DB
from workflows.results import AlignResult, RecordsOf

if TYPE_CHECKING:
    from leaderboards.objects import ObjectChanges


@dataclass(frozen=True, repr=False)
class Objects(RecordsOf["ObjectChanges"]):
    """Which objects A hallucinates and B does not. Its records are a row a benchmark and object."""

    a: str
    b: str
    benchmarks: tuple[ObjectChanges, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        from leaderboards.formats.objects_view import object_records

        return object_records(self.benchmarks)

    @property
    def _rows(self) -> Sequence[ObjectChanges]:
        return self.benchmarks

    def __repr__(self) -> str:
        return f"Objects({self.a!r} - {self.b!r}, {len(self.records)} objects)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.objects_view import objects_table

        return objects_table(self.benchmarks, self.a, self.b)


def objects(
    a: str | AlignResult,
    b: str | AlignResult,
    *,
    benchmark: str | None = None,
    top: int | None = 20,
    db: str | Path = DB,
) -> Objects:
    """Which objects A hallucinates and B does not, largest change first, on the answers that both have.

    Args:
        a, b: as in ``compare``.
        benchmark: only this one; None: all that name objects (Object HalBench, AMBER's captions).
        top: of how many objects; None: of all.
        db: the results file.

    Raises UsageError where no benchmark that both were run on names objects.
    """
    from leaderboards.objects import load_objects
    from leaderboards.snapshot import Snapshot

    one, other = (run.name if isinstance(run, AlignResult) else run for run in (a, b))
    found = load_objects(Snapshot.reading(db, one, other), one, other, benchmark=benchmark, top=top)
    return Objects(one, other, tuple(found))
