"""What can be read of a damaged results file, saved into a new one.

A page that is no page ends every walk through the table that comes to it. So a table is read from both ends, and what
lies between is tried again from the middle: by keys, which the tables are ordered by. What no walk comes to, because
the page above it is gone, is read page by page.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.store.aside import set_damaged_aside, set_incomplete_aside, set_orphans_aside
from harness.store.connection import Connection, Damaged, connect
from harness.store.first_page import remake, shapes
from harness.store.migrations import NEWEST, migrate, schema, tables_of, version_of
from harness.store.opening import open_as_it_is, require_file
from harness.store.pages import Pages
from harness.util.files import replacing
from harness.util.places import make_folder

DEPTH = 9
"""How often a stretch of which nothing can be read is halved."""
DIGITS = 8
"""Characters of a key that are distinguished when a middle is looked for."""
TRANSIENT = frozenset({"claim"})
"""Tables of what runs now."""
LASTING = frozenset({"sample", "generation", "reply", "probe"})
"""Tables of which nothing is ever deleted: what a page holds of them is no row of before."""

Key = tuple[Any, ...]


@dataclass
class Rescued:
    """What was saved of a damaged file.

    Args:
        rows: how many rows of each table.
        unreadable: of each table that has any, the stretches of keys of which not all could be read.
        lost: about how many rows those held, by the size of the others: what a page held that is none is not known.
        orphans: rows whose evaluation or alignment is lost, and evaluations that lost verdicts; they are in tables of
            their own, "orphan_verdict" and so on.
        damaged: rows of each table with a cell that holds what it cannot; they are in tables of their own,
            "damaged_verdict" and so on.
        missing: how many pages the file lacks at its end.
        remade: its first page, which says where the tables are, was lost: they were found by what is in them.
    """

    rows: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    orphans: dict[str, int] = field(default_factory=dict)
    damaged: dict[str, int] = field(default_factory=dict)
    missing: int = 0
    remade: bool = False


def rescue(source: Path, target: Path) -> Rescued:
    """Save every row of the results file ``source`` that can be read into the new file ``target``.

    Raises HarnessError where it has no page of a table any more, UsageError where a file is in the place of a folder.
    """
    require_file(source)
    make_folder(target.parent)
    try:
        return _rescue(source, target)
    except Damaged as error:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            remade = Path(folder) / "remade.sqlite"
            if not remake(source, remade):
                raise HarnessError(
                    f"{source}: no row of a table of ours is found in it ({error.__cause__ or error}), so that nothing "
                    "of it can be saved. Restore a backup, or name another file with --db."
                ) from error
            return replace(_rescue(remade, target, remade=True), remade=True)


def _rescue(source: Path, target: Path, *, remade: bool = False) -> Rescued:
    """``remade``: tables that ``source`` lacks held no row that could be found."""
    found = Rescued()
    with contextlib.closing(open_as_it_is(source, cut=True)) as damaged, Pages(source) as pages:
        damaged.execute("PRAGMA cell_size_check = ON")
        version = min(max(version_of(damaged), 1), NEWEST)
        known = tables_of(damaged).keys()
        if not remade and (lost := schema(version).keys() - known):
            raise Damaged(f"of {', '.join(sorted(lost))} nothing is known")
        with replacing(target) as part, contextlib.closing(connect(part)) as copy:
            migrate(copy, version)
            loose = _readable_alone(source, pages)
            for table in sorted(schema(version).keys() & known - TRANSIENT):
                # Where pages are gone by the thousand, halving what lies between takes hours; they are read alone.
                depth = 0 if pages.cut and table in loose else DEPTH
                _copy_table(damaged, copy, table, depth, found)
            _add_loose(pages, copy, loose, found)
            found.missing = max(pages.promised - pages.present, 0)
            migrate(copy)
            found.damaged = set_damaged_aside(copy)
            for table, count in found.damaged.items():
                found.rows[table] = found.rows.get(table, 0) - count
            if "verdict" in found.unreadable.keys() | found.damaged.keys():
                found.orphans |= set_incomplete_aside(copy)
            found.orphans |= set_orphans_aside(copy)
            copy.commit()
    return found


def _copy_table(damaged: Connection, copy: Connection, table: str, depth: int, found: Rescued) -> None:
    walk = _Walk(damaged, table, depth)
    saved, size, stretches, broken = 0, 0, 0, False
    for row in walk.rows(None, None, depth):
        if row is not None:
            saved += _insert(copy, table, walk.columns, row)
            size += sum(len(value) if isinstance(value, str) else 8 for value in row)
        stretches += row is None and not broken
        broken = row is None
    copy.commit()
    found.rows[table] = saved
    if stretches:
        page = damaged.execute("PRAGMA page_size").fetchone()[0]
        found.unreadable[table] = stretches
        found.lost[table] = stretches * max(1, page * saved // size if size else 1)


def _insert(copy: Connection, table: str, columns: Sequence[str], row: Sequence[Any]) -> int:
    """How many rows that makes: none where one of its key is there."""
    marks, names = ", ".join("?" * len(columns)), ", ".join(f'"{name}"' for name in columns)
    return copy.execute(f'INSERT OR IGNORE INTO "{table}" ({names}) VALUES ({marks})', row).rowcount


def _readable_alone(source: Path, pages: Pages) -> frozenset[str]:
    """The tables whose pages can be read without the tree: not those of which rows are deleted, where it is not known
    which pages held such, or a log beside the file says otherwise."""
    log = source.resolve().with_name(source.resolve().name + "-wal")
    known = pages.freed is not None and not (log.exists() and log.stat().st_size)
    return frozenset(schema().keys() - TRANSIENT if known else LASTING)


def _add_loose(pages: Pages, copy: Connection, tables: frozenset[str], found: Rescued) -> None:
    """The rows that no walk came to, of those ``tables`` that were not read whole."""
    wanted = tables & found.unreadable.keys()
    if not wanted:
        return
    names = {
        table: [name for (name,) in copy.execute("SELECT name FROM pragma_table_info(?)", [table])]
        for table in found.rows
    }
    known = shapes(version_of(copy))
    for table, row in pages.rows({table: known[table] for table in found.rows}):
        if table in wanted:
            new = _insert(copy, table, names[table], row)
            found.rows[table] += new
            found.lost[table] = max(found.unreadable[table], found.lost[table] - new)
    copy.commit()


class _Walk:
    """A walk through a table of a damaged file, in the order of its keys."""

    def __init__(self, db: Connection, table: str, depth: int) -> None:
        self._db, self._table, self._depth = db, table, depth
        facts = db.execute("SELECT name, type, pk FROM pragma_table_info(?)", [table]).fetchall()
        self.columns = [name for name, _, _ in facts]
        keys = sorted((pk, name, kind) for name, kind, pk in facts if pk)
        self._at = [self.columns.index(name) for _, name, _ in keys]
        self._names = ", ".join(f'"{name}"' for _, name, _ in keys)
        self._least: Key = tuple("" if kind == "TEXT" else -(2**62) for _, _, kind in keys)
        self._most: Key = tuple("\x7f" * DIGITS if kind == "TEXT" else 2**62 for _, _, kind in keys)

    def rows(self, low: Key | None, high: Key | None, depth: int) -> Iterator[Sequence[Any] | None]:
        """The rows that can be read between the keys ``low`` and ``high`` (None: from the first, to the last), and
        None where some may be missing.
        """
        last = low
        try:
            for row in self._select(low, high, "ASC"):
                yield row
                last = self._key(row)
            return
        except HarnessError:
            pass
        back: list[Sequence[Any]] = []
        try:
            for row in self._select(last, high, "DESC"):
                back.append(row)
        except HarnessError:
            first = self._key(back[-1]) if back else high
            depth = self._depth if last != low or back else depth - 1
            middle = self._middle(last, first) if depth > 0 else None
            if middle is None:
                yield None
            else:
                yield from self.rows(last, middle, depth)
                yield from self._at_key(middle)
                yield from self.rows(middle, first, depth)
        yield from reversed(back)

    def _select(self, low: Key | None, high: Key | None, order: str) -> Iterator[Sequence[Any]]:
        marks = ", ".join("?" * len(self._at))
        bounds = [f"({self._names}) {sign} ({marks})" for sign, key in ((">", low), ("<", high)) if key is not None]
        ordered = ", ".join(f"{name} {order}" for name in self._names.split(", "))
        query = f'SELECT * FROM "{self._table}" NOT INDEXED WHERE {" AND ".join(bounds) or 1} ORDER BY {ordered}'
        before: Key | None = None
        for row in self._db.execute(query, [*(low or ()), *(high or ())]):
            key = self._key(row)
            if before is not None and (key <= before if order == "ASC" else key >= before):
                raise HarnessError("rows out of order")  # a page of another place
            before = key
            yield row

    def _at_key(self, key: Key) -> Iterator[Sequence[Any]]:
        marks = ", ".join("?" * len(key))
        with contextlib.suppress(HarnessError):  # what it lies among says so
            query = f'SELECT * FROM "{self._table}" NOT INDEXED WHERE ({self._names}) = ({marks})'
            yield from self._db.execute(query, key).fetchall()

    def _key(self, row: Sequence[Any]) -> Key:
        key = tuple(row[at] for at in self._at)
        if any(type(value) is not type(least) for value, least in zip(key, self._least, strict=True)):
            raise HarnessError("a row without its key")
        return key

    def _middle(self, low: Key | None, high: Key | None) -> Key | None:
        """A key between two; None where they are next to each other."""
        low, high = low or self._least, high or self._most
        at = next((i for i, (a, b) in enumerate(zip(low, high, strict=True)) if a != b), None)
        if at is None:
            return None
        # First where the rows of one model (judge, evaluation) end and those of another begin: most keys differ after.
        ends = [(*low[: at + 1], *self._most[at + 1 :]), (*high[: at + 1], *self._least[at + 1 :])]
        halved = [(*low[:at], between, *self._least[at + 1 :]) for between in _between(low[at], high[at])]
        return next((key for key in [*ends, *halved] if low < key < high), None)


def _between(a: Any, b: Any) -> list[Any]:
    """A value in the middle between two numbers or two texts, if there is one."""
    if isinstance(a, int) and isinstance(b, int):
        return [(a + b) // 2]
    a, b = str(a), str(b)
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    low, high = (_number(text[same : same + DIGITS]) for text in (a, b))
    number, digits = (low + high) // 2, []
    for _ in range(DIGITS):
        number, digit = divmod(number, 128)
        digits.append(chr(digit))
    return [a[:same] + "".join(reversed(digits)).rstrip("\0")] if high - low > 1 else []


def _number(text: str) -> int:
    """The first characters of a text as the digits of a number."""
    number = 0
    for at in range(DIGITS):
        number = number * 128 + (min(ord(text[at]), 127) if at < len(text) else 0)
    return number
