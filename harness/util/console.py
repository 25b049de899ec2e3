"""The console that everything is printed with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from harness.util.visible import stripped


class Console(rich.console.Console):
    """A console of rich that shows texts and lets none of them command the terminal; ``:words:`` are no emoji.

    A name or an answer may hold escape sequences: rich passes them on, and they would set the terminal's title, clear
    it or hide what follows. What rich itself sends (colours, moving bars) passes.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"emoji": False, **settings})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of ``renderable``, their texts without what cannot be seen."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=stripped(segment.text))

    def out(self, *objects: Any, **how: Any) -> None:
        """Objects as they are, one line of them, without what cannot be seen."""
        super().out(*(stripped(str(item)) for item in objects), **how)
