"""The console that everything is printed with."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from harness.util.tables import whole
from harness.util.visible import stripped

OF_A_FILE = 200
"""Columns of what goes to a file or another program: there is no terminal whose width it must have."""


class Console(rich.console.Console):
    """A console of rich that shows texts and lets none of them command the terminal; ``:words:`` are no emoji.

    A name or an answer may hold escape sequences: rich passes them on, and they would set the terminal's title, clear
    it or hide what follows. What rich itself sends (colours, moving bars) passes. Tables are shown whole (``whole``):
    rich cuts what does not fit, and "+0.12*" is another figure than "+0.12**".
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"emoji": False, **settings})

    # A line that is longer than the console is wide is not cut either.
    print = functools.partialmethod(rich.console.Console.print, crop=False)  # type: ignore[assignment]

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines: those that were given (also as $COLUMNS), of the terminal, or the columns of a file."""
        given = self._width is not None or self._environ.get("COLUMNS", "").isdigit()
        size = super().size
        return size if given or self.is_terminal or self.is_jupyter else size._replace(width=OF_A_FILE)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of ``renderable``, their texts without what cannot be seen, its tables whole."""
        if isinstance(renderable, Table):
            shown: Iterable[tuple[RenderableType, ConsoleOptions | None]] = whole(
                renderable, self, options or self.options
            )
        else:
            shown = [(renderable, options)]
        for part, how in shown:
            for segment in super().render(part, how):
                yield segment if segment.control else segment._replace(text=stripped(segment.text))

    def out(self, *objects: Any, **how: Any) -> None:
        """Objects as they are, one line of them, without what cannot be seen."""
        super().out(*(stripped(str(item)) for item in objects), **how)
