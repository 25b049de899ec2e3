"""Several processes on one results file: each claims what it works on, and what a dead one held is free again.

No process waits for another to answer: there is no collective operation that a dead worker could hang. A claim is a
row with an end; its holder moves the end on while it lives. On this machine a claim counts as long as its process
lives, whatever the clock says; that of a process on another machine until its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from harness.errors import HarnessError
from harness.store.connection import connect

LEASE = 60.0
"""Seconds after which a claim of another machine that nobody renewed is free."""
SKEW = 3600.0
"""Seconds that the clocks of two machines may be apart: a claim with a later end is not believed."""
ALIGNMENT = "alignment"
"""The scope of the alignments under way: who trains a run holds its name."""


class Holder(NamedTuple):
    """The process that holds a claim."""

    owner: str
    host: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def holders(connection: sqlite3.Connection, scope: str) -> dict[str, Holder]:
    """The items of ``scope`` that a process holds which may be living, as the claims in the results file say."""
    # What is damaged is no claim: whoever made it makes it anew when it is renewed.
    query = "SELECT item, until, owner, host, pid FROM claim WHERE scope = ? AND typeof(owner) = 'text'"
    rows = connection.execute(f"{query} AND typeof(until) = 'real' AND typeof(pid) = 'integer'", [scope]).fetchall()
    counts: dict[tuple[str, float], bool] = {}  # thousands of items have few owners
    found = {}
    for item, until, *of in rows:
        holder = Holder(*of)
        if (holder.owner, until) not in counts:
            counts[holder.owner, until] = _counts(holder, until)
        if counts[holder.owner, until]:
            found[item] = holder
    return found


def _counts(holder: Holder, until: float) -> bool:
    """Whether a claim of ``holder`` until ``until`` counts now."""
    machine, _, rest = holder.owner.partition("/")
    if machine == _machine():
        return _lives(holder.pid, rest.partition("/")[0])
    now = time.time()
    known = not rest and holder.host == socket.gethostname()  # of an older version, which names no machine
    return now < until < now + SKEW and (not known or _lives(holder.pid, ""))


@cache
def _machine() -> str:
    """Where a process id means one process: this start of this machine, and this container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return hashlib.sha256(f"{boot} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:12]
    except OSError:
        return socket.gethostname()


def _lives(pid: int, started: str) -> bool:
    """Whether the process ``pid`` that started then ("": whenever) is there, and no corpse."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    state, since = _state(pid)
    return state not in "ZX" and (not (started and since) or since == started)


def _state(pid: int) -> tuple[str, str]:
    """A process's state, and when it started (ticks since this machine did); "R" and "" where nobody says it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "R", ""


class Claims:
    """What this process holds in the results file at ``path``; a context manager that gives everything back.

    Args:
        lease: seconds a claim lasts without being renewed; it is renewed three times in that time.
    """

    def __init__(self, path: Path, lease: float = LEASE) -> None:
        self._path, self._lease = path, lease
        self._host, self._pid = socket.gethostname(), os.getpid()
        self.owner = f"{_machine()}/{_state(self._pid)[1]}/{uuid.uuid4().hex[:8]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="claims", daemon=True)

    def __enter__(self) -> Claims:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(HarnessError), self._connect() as db:  # locked, full: they end with this process
            db.execute("DELETE FROM claim WHERE owner = ?", [self.owner])

    def take(self, scope: str, items: Sequence[str], most: int) -> list[str]:
        """Claim up to ``most`` of ``items``, those that no living process holds, in order; returns the claimed."""
        now = time.time()
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")  # reading and writing are one step for all processes
            held = {item for item, holder in holders(db, scope).items() if holder.owner != self.owner}
            taken = [item for item in items if item not in held][:most]
            row = (self.owner, self._host, self._pid, now + self._lease)
            rows = [(scope, item, *row) for item in sorted(taken)]  # in the table's order: faster
            db.executemany("INSERT OR REPLACE INTO claim VALUES (?,?,?,?,?,?)", rows)
        return taken

    def free(self, scope: str, items: Sequence[str]) -> list[str]:
        """Those of ``items`` that nobody else holds now; nobody is kept from writing meanwhile."""
        with self._connect() as db:
            held = {item for item, holder in holders(db, scope).items() if holder.owner != self.owner}
        return [item for item in items if item not in held]

    def release(self, scope: str, items: Sequence[str]) -> None:
        """Give ``items`` back."""
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")
            rows = [(scope, item, self.owner) for item in sorted(items)]
            db.executemany("DELETE FROM claim WHERE scope = ? AND item = ? AND owner = ?", rows)

    def _renew(self) -> None:
        while not self._stop.wait(self._lease / 3):
            with contextlib.suppress(HarnessError), self._connect() as db:  # locked, full: the next time then
                db.execute("UPDATE claim SET until = ? WHERE owner = ?", [time.time() + self._lease, self.owner])

    def _connect(self) -> _Closing:
        return _Closing(self._path)


class _Closing:
    """A short transaction on a connection of its own: claims are taken from several threads."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, isolation_level=None)
        self._db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is no claim any more

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        self._db.close()
