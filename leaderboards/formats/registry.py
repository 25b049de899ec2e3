"""The formats that a leaderboard can be written in: a plug-in is one class in one file."""

from __future__ import annotations

import os
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
        suffixes: the endings of files that are written in it where no format is named (".md"); "" for a file without.
        folders: whether a directory can be written in it.
        says_empty: whether it says ``view.empty`` where there is no table; else the command does.
    """

    name: ClassVar[str]
    default_out: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = ()
    folders: ClassVar[bool] = False
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


def format_of(file: str | Path) -> str:
    """The format that ``file`` is written in where none is named, the project's own first.

    It is the one that declares the ending; of a directory, there or meant (a text that ends in a slash), one that can
    be written as such. Raises UsageError where there is none.
    """
    ending, folder = Path(file).suffix.lower(), os.path.isdir(file) or str(file).endswith(("/", os.sep))
    formats = {name: FORMATS.get(name) for name in format_names()}
    for name, kind in formats.items():
        if kind.folders if folder else ending in kind.suffixes:
            return name
    known = " ".join(suffix for kind in formats.values() for suffix in kind.suffixes if suffix)
    raise UsageError(
        f"{file}: name the format (--format markdown, from Python write({str(file)!r}, 'markdown')). Known without: "
        f"{known}."
    )
