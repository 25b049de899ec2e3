"""How a long step reports how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Watcher = Callable[[str, int, int], None]
"""A caller's own: it is called as ``watcher(step, done, total)`` and needs to take no note."""


class Progress(Protocol):
    """Called while a long step runs: ``progress("answers", 12, 300)``. A step is done when ``done`` is ``total``.

    ``note`` is what else is worth watching: of training, the loss and the learning rate.
    """

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None: ...


def silent(step: str, done: int, total: int, note: str = "") -> None:
    """A Progress that shows nothing."""
