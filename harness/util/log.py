"""What a command says while it works: everything in its log file, on the screen as much as the user asked for."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from harness.errors import HarnessError
from harness.util.secrets import hide
from harness.util.visible import escaped

LOG = logging.getLogger("dama")
"""The project's logger; modules that have something to say of their own name theirs below it (``dama.chat``)."""
LOG.addHandler(logging.NullHandler())
# DeepSpeed says it on every machine without a GPU where it is installed, whether it is used or not.
logging.getLogger("DeepSpeed").addFilter(lambda record: "Setting accelerator to CPU" not in record.getMessage())
# What keeps open_clip from loading a model is raised as well; its own lines would stand above the command's.
logging.getLogger().addFilter(lambda record: f"{os.sep}open_clip{os.sep}" not in record.pathname)
LINE = "%(asctime)s %(levelname)-7s %(name)s  %(message)s"


class Verbosity(IntEnum):
    """How much of its work a command shows on stderr. Results on stdout and errors are always shown."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


_shown = Verbosity.NORMAL


def verbosity() -> Verbosity:
    """What ``set_verbosity`` was given last; NORMAL where it was not called."""
    return _shown


def set_verbosity(value: Verbosity) -> None:
    """Show less or more from now on, in this process; VERBOSE shows the log on stderr as well."""
    global _shown  # asked by bars and warnings, which are made far from the command line
    _shown = value
    for handler in [each for each in LOG.handlers if isinstance(each, _Screen)]:
        LOG.removeHandler(handler)
    LOG.setLevel(logging.DEBUG if value is Verbosity.VERBOSE else logging.NOTSET)
    if value is Verbosity.VERBOSE:
        LOG.addHandler(_prepared(_Screen(sys.stderr)))


@contextlib.contextmanager
def logged_to(file: Path) -> Iterator[None]:
    """Within it everything that is logged is added to ``file``. Raises HarnessError if that cannot be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handler = _prepared(logging.FileHandler(file, encoding="utf-8", errors="backslashreplace"))
    except OSError as error:
        raise HarnessError(f"The log {file} cannot be written ({error.strerror or error}); set DAMA_HOME to a folder "
                           "that can.") from error  # fmt: skip
    before = LOG.level, LOG.propagate
    LOG.addHandler(handler)
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False  # a library that logs by the root logger gives it a handler of stderr, which hides no secret
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before[0])
        LOG.propagate = before[1]
        handler.close()


class _Screen(logging.StreamHandler):  # type: ignore[type-arg]  # generic for the type checker alone
    """The handler of stderr; a caller may have handlers of its own."""


class _WithoutSecrets(logging.Formatter):
    """One line a record, tracebacks below it, both without keys and passwords; control characters are written out."""

    def format(self, record: logging.LogRecord) -> str:
        return escaped(hide(super().format(record)))


def _prepared(handler: logging.Handler) -> logging.Handler:
    handler.setFormatter(_WithoutSecrets(LINE))
    handler.setLevel(logging.DEBUG)
    handler.handleError = lambda record: None  # type: ignore[method-assign]  # a full disk must not end the work
    return handler
