"""Tables that lose no character, however narrow the console is."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.table import Column, Table

NAME = 12
"""To so many characters a column of words may shrink, whose longer words are then folded."""
UNBOUNDED = 100_000


def whole(table: Table, console: Console, options: ConsoleOptions) -> Iterator[tuple[Table, ConsoleOptions]]:
    """``table`` and the options to render it with, so that no cell is cut.

    A column of figures (right-justified, or one that may not wrap) keeps its width; words are wrapped and folded. Where
    the figures do not fit beside the first column they stand in blocks, the first column before each. A block
    that is too wide even so is as wide as it must be: a terminal wraps its lines, a file holds them.
    """
    table = _with(table, table.columns)
    for column in table.columns:
        column.no_wrap = column.no_wrap or column.justify == "right"
        column.overflow = "fold"
    for block in _blocks(table, console, options):
        least = _least(block, console, options)
        yield block, options.update(width=max(options.max_width, least)) if least > options.max_width else options


def _blocks(table: Table, console: Console, options: ConsoleOptions) -> list[Table]:
    """The table, or its figures in blocks of as many columns as fit, each after the first column."""
    first, *figures = table.columns or [Column()]
    if not figures or not all(column.no_wrap for column in figures):
        return [table]
    blocks: list[list[Column]] = [[]]
    for column in figures:
        beside = _with(table, [first, *blocks[-1], column])
        if blocks[-1] and _least(beside, console, options) > options.max_width:
            blocks.append([])
        blocks[-1].append(column)
    tables = [_with(table, [first, *columns]) for columns in blocks]
    for block in tables[1:]:
        block.title = None
    for block in tables[:-1]:
        block.caption = None
    return tables


def _with(table: Table, columns: Sequence[Column]) -> Table:
    """A copy of ``table`` that has copies of ``columns``."""
    made = copy.copy(table)
    made.columns = [copy.copy(column) for column in columns]
    for index, column in enumerate(made.columns):
        column._index = index
    return made


def _least(table: Table, console: Console, options: ConsoleOptions) -> int:
    """The columns of text that ``table`` needs: its natural width, less what its columns of words may shrink by."""
    wide = options.update(width=UNBOUNDED)
    natural = table.__rich_measure__(console, wide).maximum
    return natural - sum(_slack(table, column, console, wide) for column in table.columns if not column.no_wrap)


def _slack(table: Table, column: Column, console: Console, wide: ConsoleOptions) -> int:
    """How much narrower than its longest line a column of words may be."""
    cells = [*([column.header] if table.show_header else []), *column.cells]
    longest = max((Measurement.get(console, wide, cell).maximum for cell in cells), default=0)
    return max(0, longest - max(column.min_width or 0, NAME))
