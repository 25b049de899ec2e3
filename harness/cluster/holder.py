"""In a worker: one thing that is made there and asked again and again. Imports neither Ray nor torch by itself."""

from __future__ import annotations

import importlib
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import harness
from harness.errors import UsageError
from harness.util.environment import environment
from harness.util.pool import sendable
from harness.util.secrets import guard_output


@dataclass(frozen=True)
class Begun:
    """A worker that is ready: what it holds in ``facts``, which must be equal on all, and the software that made it."""

    facts: Any
    software: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """What a worker made of one call: results by their position in it, the error that ended it, what it warned of."""

    made: Sequence[tuple[int, Any]]
    error: Exception | None = None
    warnings: tuple[str, ...] = ()


@dataclass
class _Heard:
    texts: list[str] = field(default_factory=list)


class Holder:
    """The process of a worker.

    Args:
        folder: the working directory of the command, which must be here too: paths are relative to it.
    """

    def __init__(self, folder: str) -> None:
        self._folder, self._held = folder, None

    def where(self) -> tuple[str, str]:
        """Which process this is, in words, and the id of its node."""
        ray: Any = importlib.import_module("ray")  # it is there: it runs this process
        return _where(), str(ray.get_runtime_context().get_node_id())

    def begin(self, make: Callable[..., tuple[Any, Any]], arguments: Sequence[Any]) -> Begun:
        """Make what is held: ``make`` returns it and its facts."""
        work_in(self._folder)
        with _heard() as heard:
            self._held, facts = make(*arguments)
        return Begun(facts, environment(), tuple(heard.texts))

    def call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """What ``function`` makes of what is held."""
        return function(self._held, *arguments)


def work_in(folder: str) -> None:
    """Make this process a worker of a command that runs in ``folder``."""
    guard_output()
    sys.stdout = sys.stderr  # nobody reads results here
    try:
        os.chdir(folder)
    except OSError as error:
        raise UsageError(
            f"--cluster: {_where()} has no folder {folder} ({error.strerror}). Run the command in a folder that all "
            "nodes share, with model and data in it or named by paths that all nodes have."
        ) from error


def _where() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def collected(results: Iterator[tuple[int, Any]]) -> Part:
    """All ``results``; where an error ends them, those before it and the error."""
    made: list[tuple[int, Any]] = []
    failed: Exception | None = None
    with _heard() as heard:
        try:
            for each in results:
                made.append(each)  # what came before an error is kept
        except Exception as error:
            failed = sendable(error)
    return Part(made, failed, tuple(heard.texts))


@contextmanager
def _heard() -> Iterator[_Heard]:
    """The warnings of this project within it, each once; those of other packages are the node's own."""
    found = _Heard()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found.texts = list(dict.fromkeys(str(warning.message) for warning in caught if of_this_project(warning.filename)))


def of_this_project(file: str) -> bool:
    """Whether a warning that was given in ``file`` is for the user; those of other packages stand in the node's log."""
    return Path(file).is_relative_to(Path(harness.__file__).resolve().parents[1]) and "site-packages" not in file
