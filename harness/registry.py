"""Named plug-ins: what the project ships, and what other packages add by entry point."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from harness.errors import HarnessError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    Args:
        kind: what a plug-in is called in messages ("aligner").
        modules: modules of the project that register their plug-in when imported.
        group: the entry-point group through which other packages add plug-ins.

    Built-in modules and entry points are imported on first use, so that `--help` stays fast.
    A plug-in of another package that cannot be imported warns and is left out.
    """

    def __init__(self, kind: str, modules: tuple[str, ...], group: str) -> None:
        self.kind, self.group, self._modules = kind, group, modules
        self._items: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str, item: T) -> T:
        """Add ``item`` under ``name``; a name already taken by another item is an error."""
        if self._items.get(name, item) is not item:
            raise HarnessError(f"Two {self.kind}s are named {name!r}; rename or uninstall one.")
        self._items[name] = item
        return item

    def get(self, name: str) -> T:
        """The plug-in called ``name``; an unknown name raises a UsageError with a suggestion."""
        self._load()
        if name not in self._items:
            raise unknown_name(self.kind, name, self._items)
        return self._items[name]

    def names(self) -> list[str]:
        self._load()
        return sorted(self._items)

    def items(self) -> Iterator[tuple[str, T]]:
        return ((name, self._items[name]) for name in self.names())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for module in self._modules:
            importlib.import_module(module)
        for entry in entry_points(group=self.group):
            try:
                self.register(entry.name, entry.load())
            except Exception as error:  # another package's fault must not stop ours
                warnings.warn(f"{self.kind} {entry.name!r} of {entry.value} left out: {error}", stacklevel=2)
