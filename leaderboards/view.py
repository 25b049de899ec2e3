"""What a format is given to render: the tables of a store, and what was asked to be shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from harness.errors import unknown_name
from harness.store import AlignmentRecord
from leaderboards.published import Published, published_block
from leaderboards.rows import Table, build_tables
from leaderboards.snapshot import Snapshot
from leaderboards.text import NO_EVALUATIONS

Examples = Callable[[AlignmentRecord, Sequence[str]], Mapping[str, Mapping[str, Any]]]
"""The pairs of an alignment by id: {"question", "chosen", "rejected", "picture": bytes}; empty where unknown."""


@dataclass(frozen=True)
class View:
    """A leaderboard to be rendered; everything is computed when it is first asked for, and kept.

    Args:
        snapshot: the store.
        benchmarks: only the tables of these; None: of all.
        against: the row or run that all others are compared with; None: DPO and base, or the best row without these.
        empty: what to say where there is no table.
        differences: whether each difference is wanted with its interval and p-value, where a format can leave them out.
        published: whether published figures are wanted, in a block of their own: where an evaluator is an equal one, or
            "all", which are then said not to be comparable.
        width: columns of text.
        examples: finds the pairs that an alignment was trained on.
        explain: a sentence on why the base model hallucinates; "" for none.
        commit: of the code that renders.
    """

    snapshot: Snapshot
    benchmarks: frozenset[str] | None = None
    against: str | None = None
    empty: str = NO_EVALUATIONS
    differences: bool = False
    published: bool | Literal["equal", "all"] = False
    width: int = 100
    examples: Examples = lambda alignment, ids: {}
    explain: Callable[[Snapshot], str] = lambda snapshot: ""
    commit: str = ""

    @cached_property
    def tables(self) -> list[Table]:
        """The tables with the metrics that are shown to people."""
        return self._tables(short=True)

    @cached_property
    def full_tables(self) -> list[Table]:
        """The tables with every metric."""
        return self._tables(short=False)

    def _tables(self, *, short: bool) -> list[Table]:
        tables = build_tables(self.snapshot, benchmarks=self.benchmarks, short=short, against=self.against)
        rows = {row.label: row.runs for table in tables for row in table.rows}
        if self.against is not None and not any(self.against in (label, *runs) for label, runs in rows.items()):
            raise unknown_name("row to compare with", self.against, set(rows))
        return tables

    @cached_property
    def published_block(self) -> Published | None:
        """The published figures, of a variant only beside a finished run of it; None where they are not wanted."""
        if not self.published:
            return None
        done = {str(run.config.get("method")) for run in self.snapshot.alignments if run.status == "done"}
        return published_block(self.tables, done, "all" if self.published == "all" else "equal")

    def wanted(self, benchmark: str) -> bool:
        """Whether a benchmark is shown."""
        return self.benchmarks is None or benchmark in self.benchmarks
