"""Errors a user can act on. The command line turns each into one message and its exit code."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class HarnessError(Exception):
    """Something failed; the message names what, what was expected, and what to do."""

    exit_code = 1


class Transient(HarnessError):
    """A disk, a device, a node, the network or another program failed: the same command may do better later."""


ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that end a command from outside; Windows has no SIGHUP."""


class Interrupted(KeyboardInterrupt):
    """The work was stopped from outside, by Ctrl-C or a signal; the message says what is kept and how to resume.

    Not a HarnessError: a loop over runs that continues after an error ends with this.
    """

    def __init__(self, kept: str = "", exit_code: int = 130) -> None:
        super().__init__(kept)
        self.exit_code = exit_code

    @classmethod
    def of(cls, stop: KeyboardInterrupt, kept: str) -> Interrupted:
        """``stop`` with what is kept."""
        return cls(kept, stop.exit_code if isinstance(stop, Interrupted) else 130)


class UsageError(HarnessError):
    """The command, option, file or recipe is wrong; nothing was started."""

    exit_code = 2


class Unreachable(UsageError, Transient):
    """A hub, an endpoint or another host does not answer: nothing was started, and it may answer later."""


class DataError(UsageError):
    """A data file is wrong; the message names the file and the row."""


MOST_NAMED = 40
"""Names that an error lists; of more only the nearest."""
NEAREST = 5


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that is not registered, with the nearest known one, or few where there are many."""
    choices = sorted(known)
    if len(choices) > MOST_NAMED:
        near = difflib.get_close_matches(name, choices, n=NEAREST)
        hint = f"the nearest are {', '.join(near)}" if near else f"the first are {', '.join(choices[:NEAREST])}"
        return UsageError(f"Unknown {kind} {name!r}. Of the {len(choices):,} that are known {hint}.")
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(f"Unknown {kind} {name!r}.{hint} Known: {', '.join(choices) or 'none'}.")
