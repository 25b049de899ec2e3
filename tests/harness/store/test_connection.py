"""A results file that another program holds: a short hold is waited for, a long one is named."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.protocols.model import Answer
from harness.store import Store, connection
from harness.store.claims import Claims


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another program with unsaved changes in the results file."""
    path = tmp_path / "r.sqlite"
    Store(path).close()
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("BEGIN IMMEDIATE")
    yield db
    db.close()


def test_a_file_that_stays_locked_is_named_with_what_to_do(
    holder: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT", 0.05)
    store = Store(tmp_path / "r.sqlite")
    with pytest.raises(HarnessError, match=r"r\.sqlite is locked by another program .* run the same command again"):
        store.save_answers("m", [("q", Answer("x"))])
    with pytest.raises(HarnessError, match="is locked"), Claims(store.path) as claims:
        claims.take("x", ["i"], 1)
    assert store.answers("m", ["q"]) == {}, "reading is not held up"


def test_a_short_lock_is_waited_for(holder: sqlite3.Connection, tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    threading.Timer(0.2, holder.execute, ["ROLLBACK"]).start()
    begun = time.monotonic()
    store.save_answers("m", [("q", Answer("x"))])
    assert time.monotonic() - begun > 0.1
    assert set(store.answers("m", ["q"])) == {"q"}
