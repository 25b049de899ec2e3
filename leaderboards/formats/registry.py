"""The formats that a leaderboard can be written in: a plug-in is one class in one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType

from harness.errors import HarnessError, UsageError
from harness.registry import Registry
from harness.util.files import write_text
from harness.util.shape import extends
from leaderboards.view import View


class Format(ABC):
    """Base of every format.

    Declared on the class:
        name: how it is called on the command line.
        default_out: the file it is written to where none is named; "": it is printed.
        suffixes: the endings of files that are written in it where no format is named (".md").
        says_empty: whether it says ``view.empty`` where there is no table; else the command does.
    """

    name: ClassVar[str]
    default_out: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = ()
    says_empty: ClassVar[bool] = False

    @abstractmethod
    def render(self, view: View) -> str:
        """The leaderboard as text; ``view.tables`` holds the figures, and is empty where nothing is stored."""

    def text(self, view: View) -> str:
        """What ``render`` gives. Raises HarnessError where that is no text."""
        rendered: object = self.render(view)
        if not isinstance(rendered, str):
            raise HarnessError(
                f"The format {self.name} gives {type(rendered).__name__}, expected a text: a fault of it."
            )
        return rendered

    def rich(self, view: View) -> list[RenderableType]:
        """What a terminal shows in colour instead of the text; empty: the text as it is."""
        return []

    def write(self, view: View, out: Path) -> list[Path]:
        """Write the leaderboard to ``out`` and return the files; raises HarnessError where there is no place for it."""
        write_text(out, self.text(view))
        return [out]


FORMATS: Registry[type[Format]] = Registry(
    "format",
    (
        "leaderboards.formats.terminal",
        "leaderboards.formats.markdown",
        "leaderboards.formats.html",
        "leaderboards.formats.latex",
        "leaderboards.formats.data",
    ),
    package="leaderboards.formats",
    group="dama_harness.formats",
    check=extends(Format, "name"),
    named=True,
)


def format_names() -> list[str]:
    """The formats that `leaderboard --format` offers, the project's own first."""
    return sorted(FORMATS.names(), key=lambda name: (FORMATS.position(name), name))


def format_by_ending(file: str | Path) -> str | None:
    """The format that declares the ending of ``file``, the project's own first; None where none does."""
    ending = Path(file).suffix.lower()
    return next((name for name in format_names() if ending in FORMATS.get(name).suffixes), None)


def format_of(file: str | Path) -> str:
    """As ``format_by_ending``; raises UsageError where no format declares the ending."""
    named = format_by_ending(file)
    if named is None:
        known = " ".join(suffix for name in format_names() for suffix in FORMATS.get(name).suffixes)
        raise UsageError(
            f"{file}: name the format, for example write({str(file)!r}, 'markdown'). Known without: {known}."
        )
    return named
