"""Which rows of the data are trained on: `--where COLUMN=VALUE`, conditions on the columns as the data has them."""

from __future__ import annotations

import ast
import csv
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aligners.pairs.rows import LONGEST_LITERAL, Row
from aligners.pairs.sources import Rows
from harness.errors import DataError
from harness.protocols.progress import Progress, silent

SHOWN = 8
"""Values and columns that an error names."""
WIDTH = 60
"""Characters of a value that are shown."""


class NoSuchRows(DataError):
    """A condition that is of no use for the data: no row has its column, or none has a value that it names."""


@dataclass(frozen=True)
class Condition:
    """``column`` is one of ``values``, or with ``negated`` none of them. ``text`` is how it was written.

    A row without the column does not meet it. ``optional`` (a question mark before it): it holds only for data that has
    such a column, so that a recipe also takes data of one's own.
    """

    text: str
    column: str
    values: tuple[str, ...]
    negated: bool
    optional: bool

    @property
    def column_names(self) -> list[str]:
        """The data's columns that may hold it: of "a.b", "a.b" and "a"."""
        parts = self.column.split(".")
        return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]


def parse_condition(text: str) -> Condition:
    """``COLUMN=VALUE``, ``COLUMN=ONE,OTHER`` or ``COLUMN!=VALUE``; ``OUTER.INNER`` is a column inside another.

    A value that holds a comma stands in double quotes. Raises ValueError.
    """
    column, equals, values = text.partition("=")
    negated = column.endswith("!")
    name = column.removesuffix("!").strip()
    optional = name.startswith("?")
    name = name.removeprefix("?").strip()
    listed = [
        value.strip() for value in next(csv.reader([values.removeprefix("=").strip()], skipinitialspace=True), [])
    ]
    if not equals or not all(name.split(".")) or not listed or not all(listed):
        raise ValueError(
            f"where={text}: expected COLUMN=VALUE, COLUMN=ONE,OTHER or COLUMN!=VALUE, as in "
            "origin_split.model=LLaVA-v1.5-7B"
        )
    return Condition(text, name, tuple(dict.fromkeys(listed)), negated, optional)


def value_of(row: Row, column: str) -> Any:
    """The value of a column, or of one inside it: of "a.b" that of "a.b", or else of "b" in "a", which may be a text of
    JSON (RLAIF-V's origin_split). None where there is no such column or it is empty.
    """
    if column in row:
        return row[column]
    dots = (at for at, character in enumerate(column) if character == ".")
    inner = ((_inside(row.get(column[:at])), column[at + 1 :]) for at in dots)
    found = (value_of(held, rest) for held, rest in inner if held is not None)
    return next((value for value in found if value is not None), None)


def _inside(value: Any) -> Mapping[str, Any] | None:
    """The columns that a value holds: an object, or the text of one as JSON or Python write it."""
    if isinstance(value, str) and value.lstrip().startswith("{") and len(value) <= LONGEST_LITERAL:
        for parse in (json.loads, ast.literal_eval):
            try:
                value = parse(value.strip())
                break
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                continue
    return value if isinstance(value, Mapping) else None


def _is(value: Any, wanted: str) -> bool:
    """Whether a value is what a condition names; numbers as numbers, true and false in any case."""
    if isinstance(value, bool):
        return wanted.lower() == str(value).lower()
    if isinstance(value, int | float):
        return _number(wanted) == value
    return isinstance(value, str) and value.strip() == wanted


def _number(text: str) -> float | None:
    """Whole numbers exactly, as float holds none above 2**53; None where it is no number."""
    for parse in (int, float):
        try:
            return parse(text)
        except ValueError:
            continue
    return None


@dataclass
class _Tally:
    """What the rows have of a condition's column: how often each value, how many rows meet it and lack it."""

    condition: Condition
    values: Counter[str] = field(default_factory=Counter)
    inside: dict[str, None] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    met: int = 0
    lacking: int = 0

    def __call__(self, row: Row) -> bool:
        value = value_of(row, self.condition.column)
        if value is None:
            self.lacking += 1
            self.inside |= dict.fromkeys(self._beside(row))
            return False
        self.values[str(value)[:WIDTH]] += 1
        if (held := _inside(value)) is not None:
            self.inside |= dict.fromkeys(f"{self.condition.column}.{name}" for name in held)
        named = [wanted for wanted in self.condition.values if _is(value, wanted)]
        self.named.update(named)
        meets = bool(named) != self.condition.negated
        self.met += meets
        return meets

    def _beside(self, row: Row) -> Iterator[str]:
        """Columns inside the one that should hold the condition's."""
        outer, _, inner = self.condition.column.rpartition(".")
        held = _inside(value_of(row, outer)) if inner and outer else None
        return (f"{outer}.{name}" for name in held or ())

    @property
    def unknown(self) -> list[str]:
        """The values named that no row has."""
        return [value for value in self.condition.values if value not in self.named]

    @property
    def found(self) -> str:
        """The values that there are, the commonest first."""
        shown = ", ".join(f"{value} ({count:,})" for value, count in self.values.most_common(SHOWN))
        return shown + (f" and {len(self.values) - SHOWN:,} more" if len(self.values) > SHOWN else "")


def matching(rows: Rows, source: str, where: Sequence[str], progress: Progress = silent) -> Rows:
    """``rows`` without those that do not meet every condition of ``where``; how many they are is in its notes.

    The conditions' columns are read first, for all rows. Raises NoSuchRows, naming what there is, where no row has a
    column, none has a value that a condition names, or none meets them all.
    """
    if not where:
        return rows
    tallies = [_Tally(parse_condition(text)) for text in where]
    wanted = frozenset(name for tally in tallies for name in tally.condition.column_names)
    meets: list[list[bool]] = []
    columns: dict[str, None] = {}
    total = rows.total()
    for number, row in enumerate(rows.scan(wanted), start=1):
        columns |= dict.fromkeys(map(str, row))
        meets.append([tally(row) for tally in tallies])
        progress("rows that match", number, max(number, total))
    if not meets:
        return rows
    used = [bool(tally.values) or not tally.condition.optional for tally in tallies]
    for tally in itertools.compress(tallies, used):
        _require_known(tally, source, list(columns))
    kept = [all(itertools.compress(row, used)) for row in meets]
    if not any(kept):
        each = "; ".join(f"{tally.condition.text}: {tally.met:,} rows" for tally in tallies)
        raise NoSuchRows(f"{source}: no row meets all conditions at once ({each}). Leave one of them out.")
    return replace(
        rows,
        total=lambda: sum(kept),
        rows=itertools.compress(rows.rows, kept),
        notes=(*rows.notes, *_notes(tallies, used, kept)),
    )


def _require_known(tally: _Tally, source: str, columns: Sequence[str]) -> None:
    """Raise NoSuchRows where no row has the condition's column, or none has one of its values."""
    condition = tally.condition
    beside = ", ".join([*tally.inside][:SHOWN])
    if not tally.values:
        names = beside or ", ".join(columns)
        raise NoSuchRows(
            f"{source}: where={condition.text}: no row has a column {condition.column}; there are {names}. Name one of "
            "these, or take all rows with --where ''."
        )
    if tally.unknown:
        inner = f"; columns inside it: {beside}" if beside else ""
        raise NoSuchRows(
            f"{source}: where={condition.text}: no row has {condition.column}={','.join(tally.unknown)}; there are "
            f"{tally.found}{inner}."
        )


def _notes(tallies: Sequence[_Tally], used: Sequence[bool], kept: Sequence[bool]) -> Iterator[str]:
    applied = [tally for tally, use in zip(tallies, used, strict=True) if use]
    if applied:
        yield f"{sum(kept):,} of {len(kept):,} rows match {' and '.join(tally.condition.text for tally in applied)}"
    for tally, use in zip(tallies, used, strict=True):
        if not use:
            yield f"no row has a column {tally.condition.column}, so that {tally.condition.text} leaves out none"
        elif tally.lacking:
            yield f"{tally.lacking:,} rows without {tally.condition.column} are among those left out"
