"""Several processes on one results file: each claims what it works on, and what a dead one held is free again.

No process waits for another to answer: there is no collective operation that a dead worker could hang. A claim is a
row with an end; its holder moves the end on while it lives. That of a process that is gone from this host counts no
more, that of one on another host until its end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from harness.store.connection import Locked, connect

LEASE = 60.0
"""Seconds after which a claim that nobody renewed is free."""
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
    rows = connection.execute("SELECT item, until, owner, host, pid FROM claim WHERE scope = ?", [scope])
    now = time.time()
    return {item: Holder(*holder) for item, until, *holder in rows if until > now and _may_live(*holder[1:])}


def _may_live(host: str, pid: int) -> bool:
    if host != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Claims:
    """What this process holds in the results file at ``path``; a context manager that gives everything back.

    Args:
        lease: seconds a claim lasts without being renewed; it is renewed three times in that time.
    """

    def __init__(self, path: Path, lease: float = LEASE) -> None:
        self._path, self._lease = path, lease
        self._host, self._pid = socket.gethostname(), os.getpid()
        self.owner = f"{self._host}:{self._pid}:{uuid.uuid4().hex[:8]}"
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
        with contextlib.suppress(Locked), self._connect() as db:  # locked: the claims end by themselves
            db.execute("DELETE FROM claim WHERE owner = ?", [self.owner])

    def take(self, scope: str, items: Sequence[str], most: int) -> list[str]:
        """Claim up to ``most`` of ``items``, those that no living process holds, in order; returns the claimed."""
        now = time.time()
        with self._connect() as db:
            db.execute("BEGIN IMMEDIATE")  # reading and writing are one step for all processes
            held = {item for item, holder in holders(db, scope).items() if holder.owner != self.owner}
            taken = [item for item in items if item not in held][:most]
            row = (self.owner, self._host, self._pid, now + self._lease)
            db.executemany("INSERT OR REPLACE INTO claim VALUES (?,?,?,?,?,?)", [(scope, i, *row) for i in taken])
        return taken

    def release(self, scope: str, items: Sequence[str]) -> None:
        """Give ``items`` back."""
        with self._connect() as db:
            rows = [(scope, item, self.owner) for item in items]
            db.executemany("DELETE FROM claim WHERE scope = ? AND item = ? AND owner = ?", rows)

    def _renew(self) -> None:
        while not self._stop.wait(self._lease / 3):
            with contextlib.suppress(Locked), self._connect() as db:  # locked: the next time then
                db.execute("UPDATE claim SET until = ? WHERE owner = ?", [time.time() + self._lease, self.owner])

    def _connect(self) -> _Closing:
        return _Closing(self._path)


class _Closing:
    """A short transaction on a connection of its own: claims are taken from several threads."""

    def __init__(self, path: Path) -> None:
        self._db = connect(path, isolation_level=None)

    def __enter__(self) -> sqlite3.Connection:
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        self._db.close()
