"""Errors a user can act on. The command line turns each into one message and its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Something failed; the message names what, what was expected, and what to do."""

    exit_code = 1


class UsageError(HarnessError):
    """The command, option, file or recipe is wrong; nothing was started."""

    exit_code = 2


class DataError(UsageError):
    """A data file is wrong; the message names the file and the row."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not registered, with the nearest known one."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(choices) or 'none'}.")
