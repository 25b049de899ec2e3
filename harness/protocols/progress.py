"""How a long step reports how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called while a long step runs: ``progress("answers", 12, 300)``. A step is done when ``done`` is ``total``."""

    def __call__(self, step: str, done: int, total: int) -> None: ...


def silent(step: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""
