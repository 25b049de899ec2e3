"""The pages of a results file one by one, without the tree that leads to them: where a part of a file is missing, pages
that are there may have nothing left that points to them.

Source: https://www.sqlite.org/fileformat2.html (sections 1.3, 1.5, 1.6, 2.1).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.util.files import DATABASE

KINDS = {2: 12, 10: 8, 13: 8}
"""Pages that hold rows, and the bytes before their list of cells: inner and leaf pages of tables without row ids and of
indices, leaf pages of the others."""
WITH_ROW_ID = 13
HEADER = 100
USUAL = (DATABASE + (4096).to_bytes(2) + bytes(18) + bytes(3) + b"\1").ljust(HEADER, b"\0")
"""A header of which only the size of a page is known; not, which pages are freed."""
INNER = {2: 12, 5: 12}
"""Pages that lead to others, and the bytes before their list of cells."""
NUMBERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of an integer by its serial type."""
TYPES: Mapping[str, tuple[type, ...]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}
"""What a column of a declared type may hold, beside nothing."""

Row = list[Any]


@dataclass(frozen=True)
class Shape:
    """What identifies the rows of a table.

    Args:
        columns: of every column the declared type, and whether it is of the key (and so never empty).
        least: how many columns a row has at least; those that were added later may be absent.
    """

    columns: Sequence[tuple[str, bool]]
    least: int

    def fits(self, row: Row) -> bool:
        """Whether ``row`` can be one of the table."""
        return self.least <= len(row) <= len(self.columns) and all(
            (value is None and not key) or isinstance(value, TYPES[kind])
            for value, (kind, key) in zip(row, self.columns, strict=False)
        )

    def whole(self, row: Row) -> Row:
        """``row`` with the columns that it lacks, empty."""
        return row + [None] * (len(self.columns) - len(row))


class Pages:
    """The pages of the SQLite file at ``path``; a context manager.

    Args:
        path: it begins with a sound header, or is empty, or its first page is lost; then its pages are taken to be of
            the size that SQLite gives a new file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        header = self._file.read(HEADER).ljust(HEADER, b"\0")
        if not header.startswith(DATABASE):
            header = USUAL
        size = int.from_bytes(header[16:18])
        self.size = 65536 if size == 1 else max(size, 512)
        self._usable = self.size - header[20]
        self.present = -(-path.stat().st_size // self.size)
        self.promised = int.from_bytes(header[28:32])
        self.freed_said = header[32:40]
        """What the header says of freed pages."""
        self._first_freed, self._freed = struct.unpack(">II", self.freed_said)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def cut(self) -> bool:
        """Whether pages are missing at the end."""
        return self.present < self.promised

    @cached_property
    def freed(self) -> frozenset[int] | None:
        """The pages whose rows were deleted; None where the list of them is not whole."""
        found: set[int] = set()
        number = self._first_freed
        while number and number not in found and len(page := self._page(number)) == self.size:
            following, count = struct.unpack(">II", page[:8])
            if count > self._usable // 4 - 2:
                return None
            found |= {number, *struct.unpack(f">{count}I", page[8 : 8 + 4 * count])}
            number = following
        return frozenset(found) if len(found) == self._freed else None

    def rows(self, tables: Mapping[str, Shape]) -> Iterator[tuple[str, Row]]:
        """Every whole row of every page that is not freed, with the one table of ``tables`` whose row it can be.

        Rows of pages that may be of several, or of none, are left out.
        """
        for number in range(2, self.present + 1):  # the first holds the schema
            page = self._page(number)
            if not page or page[0] not in KINDS or number in (self.freed or ()):
                continue
            rows = self.rows_of(number)
            fitting = [name for name, shape in tables.items() if rows and all(map(shape.fits, rows))]
            if len(fitting) == 1:
                yield from ((fitting[0], tables[fitting[0]].whole(row)) for row in rows)

    def trees(self) -> dict[int, list[int]]:
        """Every page that no other leads to, with the pages that it leads to, itself first: the tables and indices of
        the file, and what is left of freed pages."""
        below = {number: self._below(number) for number in range(2, self.present + 1) if self._kind(number)}
        led_to = {number for numbers in below.values() for number in numbers}
        found = {}
        for root in below.keys() - led_to:
            reached: dict[int, None] = {}
            open_ = [root]
            while open_:
                number = open_.pop()
                if number in below and number not in reached:
                    reached[number] = None
                    open_ += reversed(below[number])
            found[root] = list(reached)
        return found

    def rows_of(self, number: int) -> list[Row]:
        """The whole rows of a page; none of one that holds none."""
        page = self._page(number)
        return list(self._cells(page)) if page and page[0] in KINDS else []

    def _kind(self, number: int) -> int:
        """What a page of a tree is; 0 for another."""
        kind = self._page(number)[:1]
        return kind[0] if kind and kind[0] in (*KINDS, *INNER) else 0

    def _below(self, number: int) -> list[int]:
        """The pages that an inner page leads to."""
        page = self._page(number)
        if page[0] not in INNER:
            return []
        count, start = int.from_bytes(page[3:5]), INNER[page[0]]
        cells = [int.from_bytes(page[at : at + 2]) for at in range(start, min(start + 2 * count, len(page) - 1), 2)]
        numbers = [int.from_bytes(page[at : at + 4]) for at in cells] + [int.from_bytes(page[8:12])]
        return [each for each in numbers if each != number and 1 < each <= self.present]

    def _page(self, number: int) -> bytes:
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def _cells(self, page: bytes) -> Iterator[Row]:
        count, start = int.from_bytes(page[3:5]), KINDS[page[0]]
        for at in range(start, min(start + 2 * count, len(page) - 1), 2):
            try:
                yield self._row(page, int.from_bytes(page[at : at + 2]))
            except (IndexError, ValueError, struct.error):  # not whole, or no row
                continue

    def _row(self, page: bytes, at: int) -> Row:
        kind, row_id = page[0], None
        at += 4 * (kind == 2)  # the page below
        length, at = _varint(page, at)
        if kind == WITH_ROW_ID:
            row_id, at = _varint(page, at)
        row = _values(self._payload(page, at, length))
        return row if row_id is None else [row_id, *row[1:]]

    def _payload(self, page: bytes, at: int, length: int) -> bytes:
        """The bytes of a row, those on overflow pages too. Raises ValueError where some are missing."""
        usable = self._usable
        most = usable - 35 if page[0] == WITH_ROW_ID else (usable - 12) * 64 // 255 - 23
        local = length
        if length > most:
            least = (usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (usable - 4)
            local = least if local > most else local
        payload = page[at : at + local]
        number, seen = int.from_bytes(page[at + local : at + local + 4]), set[int]()
        while len(payload) < length and number and number not in seen:
            seen.add(number)
            more = self._page(number)[:usable]
            payload += more[4 : 4 + length - len(payload)]
            number = int.from_bytes(more[:4])
        if len(payload) != length:
            raise ValueError("a part of the row is missing")
        return payload


def _values(payload: bytes) -> Row:
    """The values of a record. Raises ValueError or IndexError where it is none."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    if at != end or not kinds:
        raise ValueError("no record")
    row: Row = []
    for kind in kinds:
        length = NUMBERS.get(kind, 8 if kind == 7 else (kind - 12) // 2 if kind >= 12 else 0)
        row.append(_value(kind, payload[at : at + length]))
        at += length
    if at != len(payload):
        raise ValueError("no record")
    return row


def _value(kind: int, content: bytes) -> Any:
    if kind in NUMBERS:
        return int.from_bytes(content, signed=True)
    if kind == 7:
        return struct.unpack(">d", content)[0]
    if kind in (8, 9):
        return kind - 8
    if kind >= 12:
        return content.decode() if kind % 2 else content
    if kind:
        raise ValueError("no type of a value")
    return None


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number at ``at`` and where it ends."""
    number = 0
    for i in range(8):
        byte = content[at + i]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + i + 1
    return number << 8 | content[at + 8], at + 9
