"""Named plug-ins of one kind: what the project ships, and what other packages add by entry point."""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from harness.errors import UsageError, unknown_name
from harness.util.shape import Check

T = TypeVar("T")

NAME = re.compile(r"[\w.+-]+")
"""Names of plug-ins: words of a command line, of which a comma, colon or slash has a meaning of its own."""


def _fault_of_default(kind: Any, members: Sequence[str]) -> str:
    """Why ``members`` of ``kind`` made without arguments cannot be read; "" if they can, or if there are none."""
    if not members:
        return ""
    what = "it cannot be made with its default settings"
    try:
        made = kind()
        for name in members:
            what = f"its {name!r} cannot be read"
            getattr(made, name)
    except Exception as error:  # whatever a plug-in's code raises is a fault of its shape
        return f"{what} ({type(error).__name__}: {error})"
    return ""


SLOW = 10.0
"""Seconds that the import of a plug-in may take before it is named."""

_plugins: dict[str, list[str]] = {}
"""Packages of other people's plug-ins, and what of each is in use: "judge 'x'"."""


def plugin_behind(error: BaseException) -> str | None:
    """The plug-in of another package that ``error`` came out of, with the module and line; None if there is none.

    Of several the innermost.
    """
    found, trace = None, error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if names := _plugins.get(_root(module)):
            found = f"The plug-in {module} ({', '.join(sorted(names))}), line {trace.tb_lineno},"
        trace = trace.tb_next
    return found


def _root(module: str) -> str:
    return module.partition(".")[0]


@contextlib.contextmanager
def _named_if_slow(which: str) -> Iterator[None]:
    """Say what is waited for where an import takes long: a plug-in that hangs would seem to be the harness."""
    said = f"Still importing the {which}. If it hangs, press Ctrl-C and mend or uninstall that package.\n"
    timer = threading.Timer(SLOW, sys.stderr.write, [said])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@dataclass(frozen=True)
class Family(Generic[T]):
    """Items that another package has by the hundred, named ``prefix:NAME``.

    Args:
        make: the item called NAME; whether there is one may show only when it is used.
        describe: the family as one row of `list`.
    """

    make: Callable[[str], T]
    describe: Callable[[], dict[str, Any]]


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    Args:
        kind: what a plug-in is called in messages ("aligner").
        modules: modules of the project that register their plug-in when imported, in the order of tables.
        package: a package of the project whose other modules are imported too, so that a new file is a new plug-in.
        group: the entry-point group through which other packages add plug-ins.
        check: the shape that every item must have.
        readable: members of an item made with its default settings that can be read. Asked of other packages' items
            when they enter, of the project's own by its tests: reading them may import much.
        example: a sentence after the known names where an unknown one is asked for: how one is written.
        named: whether an item's own ``name`` must be the one it is registered under.

    Built-in modules and entry points are imported on first use, so that `--help` stays fast. A plug-in of another
    package that cannot be imported, has the wrong shape or a name that is taken is left out with a warning; asking for
    it raises a UsageError that says what is wrong with it. What a package prints while it is imported goes to stderr.
    """

    def __init__(
        self,
        kind: str,
        modules: tuple[str, ...],
        group: str,
        check: Check | None = None,
        *,
        readable: tuple[str, ...] = (),
        package: str = "",
        example: str = "",
        named: bool = False,
    ) -> None:
        self.kind, self.group, self._modules, self._check = kind, group, modules, check
        self._example = example
        self._package, self._named, self._readable = package, named, readable
        self._items: dict[str, T] = {}
        self._families: dict[str, Family[T]] = {}
        self._faults: dict[str, str] = {}
        self._others: dict[str, str] = {}  # what other packages add
        self._loaded = False

    def register(self, name: str, item: T) -> T:
        """Add ``item`` under ``name``; raises UsageError where the name is another item's or the shape is wrong."""
        if reason := self._refusal(name, item):
            raise UsageError(f"{self.kind} {name!r} cannot be registered: {reason}.")
        self._items[name] = item
        return item

    def faults(self, item: object) -> list[str]:
        """What is wrong with ``item``, one line a fault: its shape, and what cannot be read of it."""
        shape = list(self._check(item)) if self._check else []
        return shape or [*filter(None, [_fault_of_default(item, self._readable)])]

    def register_family(self, prefix: str, family: Family[T]) -> None:
        """Add all items named ``prefix:NAME``."""
        self._families[prefix] = family

    def __contains__(self, name: str) -> bool:
        self._load()
        return name in self._items or self._family(name) is not None

    def _family(self, name: str) -> Family[T] | None:
        prefix, colon, _ = name.partition(":")
        return self._families.get(prefix) if colon else None

    def get(self, name: str) -> T:
        """The plug-in called ``name``; an unknown or faulty one raises a UsageError with a suggestion or the fault."""
        self._load()
        if name in self._items:
            return self._items[name]
        if family := self._family(name):
            return family.make(name.partition(":")[2])
        if name in self._faults:
            raise UsageError(f"{self._faults[name]}. Mend or uninstall that package, or choose another {self.kind}.")
        raise UsageError(f"{unknown_name(self.kind, name, self._items)} {self._example}".rstrip())

    def names(self) -> list[str]:
        self._load()
        return sorted(self._items)

    def listed(self) -> list[str]:
        """The names of the plug-ins whose modules are in the project's list."""
        return [name for name in self.names() if self.position(name) < len(self._modules)]

    def position(self, name: str) -> int:
        """Where the project's list of modules has the item's; those of other packages, and unknown names, come last."""
        self._load()
        module = getattr(self._items.get(name), "__module__", "")
        return self._modules.index(module) if module in self._modules else len(self._modules)

    def items(self) -> Iterator[tuple[str, T]]:
        return ((name, self._items[name]) for name in self.names())

    def described(self, describe: Callable[[str, T], dict[str, Any]]) -> list[dict[str, Any]]:
        """What ``describe`` says of each item, then what each family says of itself.

        A plug-in of another package that cannot be described is left out with a warning.
        """
        rows = []
        for name, item in self.items():
            try:
                rows.append(describe(name, item))
            except (Exception, SystemExit) as error:
                if name not in self._others:
                    raise
                reason = f"describing it raised {type(error).__name__}: {error}"
                warnings.warn(f"{self._others[name]} is left out: {reason}", stacklevel=2)
        return [*rows, *(self._families[prefix].describe() for prefix in sorted(self._families))]

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        for module in (*self._modules, *self._other_modules()):
            importlib.import_module(module)
        for entry in entry_points(group=self.group):
            self._add(entry)

    def _other_modules(self) -> list[str]:
        """The modules of the package that are not listed."""
        if not self._package:
            return []
        names = (info.name for info in pkgutil.iter_modules(importlib.import_module(self._package).__path__))
        return [f"{self._package}.{name}" for name in names if f"{self._package}.{name}" not in self._modules]

    def _add(self, entry: EntryPoint) -> None:
        """Register what ``entry`` names, or remember and report what is wrong with it."""
        which = f"{self.kind} {entry.name!r} of {entry.value}"
        try:
            # stdout belongs to the command's own output
            with contextlib.redirect_stdout(sys.stderr), _named_if_slow(which):
                item = entry.load()
                reason = "; ".join(self.faults(item)) or self._refusal(entry.name, item)
        except (Exception, SystemExit) as error:  # another package's fault must not stop ours
            reason = f"importing it raised {type(error).__name__}: {error}"
        if reason:
            self._faults[entry.name] = f"{which} cannot be used: {reason}"
            warnings.warn(f"{which} is left out: {reason}", stacklevel=2)
        else:
            self._items[entry.name] = item
            self._others[entry.name] = which
            if _root(entry.module) not in map(_root, (__name__, *self._modules)):
                _plugins.setdefault(_root(entry.module), []).append(f"{self.kind} {entry.name!r}")

    def _refusal(self, name: str, item: T) -> str:
        """Why ``item`` cannot be registered under ``name``; "" if it can."""
        if not NAME.fullmatch(name):
            return "a name has letters, digits and . _ + - only"
        if self._items.get(name, item) is not item:
            return f"another {self.kind} has that name; rename or uninstall one"
        if faults := self._check(item) if self._check else ():
            return "; ".join(faults)
        own = getattr(item, "name", name) if self._named else name
        return "" if own == name else f"it calls itself {own!r}; name it so in the entry point too"
