"""What a command is doing, for `status` in another terminal and for its log file."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from harness.errors import HarnessError, Transient
from harness.protocols.progress import Progress
from harness.store import Store
from harness.store.activities import ACTIVITY
from harness.store.claims import Claims
from harness.util.command_line import command_line
from harness.util.distributed import rank_and_world_size
from harness.util.environment import environment
from harness.util.log import LOG, logged_to
from harness.util.paths import home
from harness.util.places import of_the_disk
from harness.util.secrets import hide
from workflows.bars import Lines

EVERY = 2.0
"""Seconds between two reports of how far a command is."""


class Activity:
    """One command at work on ``store``; see ``working``."""

    def __init__(self, store: Store, id_: int) -> None:
        self._store, self._id = store, id_
        self.errors: list[str] = []
        self.lasting = True
        """Whether all that failed would fail again."""
        self._finished: list[str] = []
        self._steps: dict[str, dict[str, Any]] = {}
        self._begun: dict[str, tuple[float, int]] = {}
        self._at = float("-inf")

    def finished(self, item: str) -> None:
        """Note that one of its items is done."""
        LOG.info("done: %s", item)
        self._finished.append(item)
        self.report()

    def failed(self, why: str, error: BaseException) -> None:
        """Note that one of its items failed by ``error``, which does not keep the others from being done."""
        LOG.error("failed: %s", why)
        self.errors.append(why)
        self.lasting = self.lasting and _is_lasting(error)

    def watch(self, progress: Progress) -> Progress:
        """``progress``, of which the log file gets lines now and then, and the results file how far the work is."""
        lines = Lines(LOG.info)

        def watched(step: str, done: int, total: int, note: str = "") -> None:
            progress(step, done, total, note)
            lines(step, done, total, note)
            self._note(step, done, total)
            if time.monotonic() - self._at > EVERY:
                self.report()

        return watched

    def _note(self, step: str, done: int, total: int) -> None:
        if done >= total:
            self._steps.pop(step, None)
            self._begun.pop(step, None)
            return
        at, before = self._begun.setdefault(step, (time.monotonic(), done))
        self._steps[step] = {"done": done, "total": total}
        if done > before:
            self._steps[step]["seconds"] = round((time.monotonic() - at) / (done - before) * (total - done), 1)

    def report(self) -> None:
        """Store how far it is."""
        self._at = time.monotonic()
        try:
            self._store.update_activity(self._id, finished=self._finished, steps=self._steps)
        except HarnessError as error:  # what it reports on says so itself, if it cannot go on
            LOG.warning("the progress could not be stored: %s", error)


class _Unwatched(Activity):
    """Of a further process of torchrun: the first speaks for all."""

    def __init__(self) -> None:
        pass

    def finished(self, item: str) -> None:
        pass

    def failed(self, why: str, error: BaseException) -> None:
        pass

    def watch(self, progress: Progress) -> Progress:
        return progress


@contextlib.contextmanager
def working(store: Store, kind: str, items: Sequence[str]) -> Iterator[Activity]:
    """Within it the command ``kind`` is at work on ``items`` ("base on amber"), and seen to be.

    It has a log file of its own in $DAMA_HOME/logs and a row in the results file, which says in the end how it went.
    """
    if rank_and_world_size()[0] > 0:
        yield _Unwatched()
        return
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    file = home().resolve() / "logs" / f"{kind}-{stamp}-{os.getpid()}.log"
    with logged_to(file), Claims(store.path) as claims:
        typed = command_line()
        LOG.info("%s on %s: %s", kind, socket.gethostname(), typed or "called as a library")
        LOG.info("software: %s", environment())
        id_ = store.start_activity(kind, typed, list(items), str(file), socket.gethostname(), os.getpid())
        claims.take(ACTIVITY, [str(id_)], 1)
        activity = Activity(store, id_)
        try:
            yield activity
        except BaseException as error:
            _ended(store, id_, error)
            raise
        activity.report()
        state, lasting = ("failed", activity.lasting) if activity.errors else ("done", False)
        store.end_activity(id_, state, hide("\n".join(activity.errors)), lasting=lasting)
        LOG.info("ended")


def _ended(store: Store, id_: int, error: BaseException) -> None:
    """Note why the work ended; what cannot be stored any more stands in the log."""
    stopped = isinstance(error, KeyboardInterrupt)
    said = hide(str(error)) if isinstance(error, HarnessError) or stopped else hide(f"{type(error).__name__}: {error}")
    if isinstance(error, HarnessError) or stopped:
        LOG.error("%s: %s", "interrupted" if stopped else "failed", said)
    else:
        LOG.error("failed", exc_info=error)
    with contextlib.suppress(HarnessError):
        store.end_activity(id_, "interrupted" if stopped else "failed", said, lasting=_is_lasting(error))


def _is_lasting(error: BaseException) -> bool:
    """Whether a command that ended by ``error`` would end so again: it was not stopped, and nothing outside failed."""
    outside = isinstance(error, KeyboardInterrupt | Transient | ConnectionError | TimeoutError)
    return not outside and of_the_disk(error) is None
