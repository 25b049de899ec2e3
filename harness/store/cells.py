"""What a cell of the results file may hold: the one place where a row becomes values, and where a damaged one is named.

A cell holds something else where the file is damaged, or was changed by hand or by another program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import HarnessError, UsageError
from harness.store.migrations import columns
from harness.store.records import Row
from harness.util.files import parse_json

EMPTY: Mapping[str, frozenset[str]] = {
    "sample": frozenset({"image"}),
    "generation": frozenset({"text", "error", "tokens", "seconds", "details"}),
    "reply": frozenset({"text", "error"}),
    "evaluation": frozenset({"alignment"}),
    "verdict": frozenset({"answer", "error", "replies"}),
    "gap": frozenset({"gap"}),  # what is no number (NaN), SQLite stores as nothing
    "hardness": frozenset({"delta"}),
}
"""Columns that may hold nothing."""
SHOWN = 40
"""Characters of a cell that an error shows."""

Inside = Callable[[Any], str]
"""What a parsed JSON value had to be; "" where it is that."""
KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "TEXT": ((str,), "text"),
    "INTEGER": ((int,), "a whole number"),
    "REAL": ((float, int), "a number"),
}
WORDS: Mapping[Any, str] = {dict: "a JSON object", list: "a JSON array", str: "text", int: "a whole number"}


class DamagedCell(HarnessError):
    """A cell holds what it cannot."""


def _is(kind: type) -> Inside:
    return lambda value: "" if isinstance(value, kind) else WORDS[kind]


def _with(**kinds: type) -> Inside:
    """An object whose fields of these names, where it has them, are of these kinds."""

    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return WORDS[dict]
        wrong = (name for name, kind in kinds.items() if name in value and not isinstance(value[name], kind))
        return next((f"{WORDS[kinds[name]]} as its {name!r}" for name in wrong), "")

    return check


def _each(container: type[Any], inside: Inside, what: str) -> Inside:
    """An object or array whose every value is as ``inside`` says; ``what`` says so in words."""

    def check(value: Any) -> str:
        if not isinstance(value, container):
            return WORDS[container]
        values: Iterable[Any] = value.values() if isinstance(value, dict) else value
        return f"{WORDS[container]} of {what}" if any(map(inside, values)) else ""

    return check


def _figure(value: Any) -> str:
    """Numbers of other packages' kinds are stored as their text."""
    if isinstance(value, float | int):
        return ""
    try:
        float(value)
    except (TypeError, ValueError):
        return "a number"
    return ""


def _metric(value: Any) -> str:
    whole = isinstance(value, dict) and "value" in value
    return "" if whole and (value["value"] is None or not _figure(value["value"])) else "metrics"


def _decoding(value: Any) -> str:
    return _is(dict)(value) or ("" if not _figure(value.get("eos_bias", 0)) else "a number as its 'eos_bias'")


def _read_reply(value: Any) -> str:
    whole = isinstance(value, dict) and {"attempt", "prompt", "reply"} <= value.keys()
    return "" if whole and isinstance(value["attempt"], int) else "replies"


OF_EVALUATION = {"notes": list, "data_notes": list} | dict.fromkeys(
    ("judging", "failures", "probe", "loading", "answers", "asked"), dict
)
JSON: Mapping[str, Mapping[str, Inside]] = {
    "sample": {"data": _is(dict)},
    "generation": {"details": _with(adapted=list, reasoning=str)},
    "reply": {"usage": _is(dict)},
    "evaluation": {
        "settings": _is(dict),
        "decoding": _decoding,
        "metrics": _each(dict, _metric, "metrics, each an object with a number as its 'value'"),
        "info": _with(**OF_EVALUATION),
    },
    "verdict": {
        "values": _each(dict, _figure, "numbers"),
        "details": _is(dict),
        "replies": _each(list, _read_reply, "replies with attempt, prompt and reply"),
    },
    "alignment": {"config": _is(dict), "info": _with(lineage=dict, data=dict, probe=dict)},
    "train_log": {"metrics": _each(dict, _figure, "numbers")},
    "probe": {"record": _is(dict)},
    "asked": {"settings": _is(dict)},
    "activity": {"items": _is(list), "finished": _is(list), "steps": _each(dict, _is(dict), "steps")},
}
"""By table the columns that hold JSON, and what that has to be."""


class _Cell(NamedTuple):
    kinds: tuple[type, ...]
    words: str
    empty: bool
    inside: Inside | None


@cache
def _cells(table: str) -> dict[str, _Cell]:
    """What the columns of ``table`` may hold."""
    return {
        name: _Cell(*KINDS[kind], name in EMPTY.get(table, ()), JSON.get(table, {}).get(name))
        for name, (kind, _) in columns()[table].items()
    }


def read_row(path: Path, table: str, row: Row) -> Row:
    """The cells of ``row`` of ``table``, or some of them, JSON as what it says; columns of other programs are left out.

    Raises DamagedCell, which names the file at ``path``, the row and its cell.
    """
    cells, values = _cells(table), {}
    for name, stored in row.items():
        if (cell := cells.get(name)) is None:
            continue
        if cell.inside is None and type(stored) in cell.kinds:  # most of them, of hundreds of thousands of rows
            values[name] = stored
            continue
        values[name], expected = _read(cell, stored)
        if expected:
            raise DamagedCell(
                f"{path}: {_named(table, row, name, stored, expected)}. The file is damaged, or was changed by hand: "
                "`db check` looks for others. Put them right there, or save all other rows into a new file with `db "
                "rescue FILE`, and run what made the lost ones again."
            )
    return values


def damage_of(table: str, row: Row) -> Iterator[str]:
    """The cells of a row of ``table`` that hold what they cannot, in words."""
    cells = _cells(table)
    for name, stored in row.items():
        if name in cells and (expected := _read(cells[name], stored)[1]):
            yield _named(table, row, name, stored, expected)


def is_json(column: str) -> bool:
    """Whether columns of that name hold JSON."""
    return any(column in of_table for of_table in JSON.values())


def _read(cell: _Cell, stored: Any) -> tuple[Any, str]:
    """What is stored in a cell, JSON as what it says, and what was expected instead; "" where it is that."""
    if stored is None:
        return None, "" if cell.empty else cell.words
    if not isinstance(stored, cell.kinds):
        return None, cell.words
    if cell.inside is None:
        return stored, ""
    try:
        value = parse_json(str(stored), "")
    except UsageError:
        return None, "JSON"
    return value, cell.inside(value)


def _named(table: str, row: Row, column: str, stored: Any, expected: str) -> str:
    keys = [name for name, (_, of_key) in columns()[table].items() if of_key and name in row]
    which = ", ".join(f"{name} {_short(row[name])}" for name in keys)
    return f"table {table}, row of {which}, column {column}: expected {expected}, found {_short(stored)}"


def _short(stored: Any) -> str:
    if stored is None:
        return "nothing"
    text = repr(stored)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
