"""Named plug-ins: what the project ships, and what other packages add by entry point."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from harness.errors import HarnessError, UsageError, unknown_name

T = TypeVar("T")


Check = Callable[[object], Sequence[str]]
"""What is wrong with the shape of an item, one line a fault; an item without a fault gives none."""


def missing_members(*names: str) -> Check:
    """A shape check: one line for each of ``names`` that an item does not have."""
    return lambda item: [f"it has no {name!r}" for name in names if not hasattr(item, name)]


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    Args:
        kind: what a plug-in is called in messages ("aligner").
        modules: modules of the project that register their plug-in when imported.
        group: the entry-point group through which other packages add plug-ins.
        check: the shape that every item must have.

    Built-in modules and entry points are imported on first use, so that `--help` stays fast. A plug-in of another
    package that cannot be imported or has the wrong shape is left out with a warning; asking for it raises a
    UsageError that says what is wrong with it.
    """

    def __init__(
        self,
        kind: str,
        modules: tuple[str, ...],
        group: str,
        check: Check | None = None,
    ) -> None:
        self.kind, self.group, self._modules, self._check = kind, group, modules, check
        self._items: dict[str, T] = {}
        self._faults: dict[str, str] = {}
        self._loaded = False

    def register(self, name: str, item: T) -> T:
        """Add ``item`` under ``name``.

        Raises HarnessError where the name is another item's, and UsageError where the item has the wrong shape.
        """
        if self._items.get(name, item) is not item:
            raise HarnessError(f"Two {self.kind}s are named {name!r}; rename or uninstall one.")
        faults = self._check(item) if self._check else ()
        if faults:
            raise UsageError(f"{self.kind} {name!r} has the wrong shape: {'; '.join(faults)}.")
        self._items[name] = item
        return item

    def get(self, name: str) -> T:
        """The plug-in called ``name``; an unknown or faulty one raises a UsageError with a suggestion or the fault."""
        self._load()
        if name in self._faults:
            raise UsageError(self._faults[name])
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
            except (Exception, SystemExit) as error:  # another package's fault must not stop ours
                reason = str(error) or type(error).__name__
                self._faults[entry.name] = f"{self.kind} {entry.name!r} of {entry.value} cannot be used: {reason}"
                warnings.warn(f"left out: {self._faults[entry.name]}", stacklevel=2)
