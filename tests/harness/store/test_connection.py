"""A results file that another program holds: a short hold is waited for, a long one is named."""

from __future__ import annotations

import gc
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


def limited(path: Path) -> Store:
    """A store whose disk is full: SQLite refuses to let it grow."""
    store = Store(path)
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    return store


def test_a_full_disk_is_a_message_and_what_was_stored_is_kept(tmp_path: Path) -> None:
    store = limited(tmp_path / "r.sqlite")
    store.save_answers("m", [("q", Answer("x"))])
    many = [(f"q{n}", Answer("word " * 1000)) for n in range(100)]
    with pytest.raises(HarnessError, match=r"r\.sqlite: there is no room left .* make room, and run the same command"):
        store.save_answers("m", many)
    store.save_model("m", {}, "k")
    assert set(store.answers("m", [key for key, _ in [("q", 0), *many]])) == {"q"}, "the store goes on"


def test_an_error_while_rows_are_read_is_a_message(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.save_answers("m", [(f"q{n}", Answer("word " * 200)) for n in range(500)])
    store.vacuum()
    content = bytearray(store.path.read_bytes())
    content[len(content) // 2 :] = b"\xa5" * (len(content) - len(content) // 2)
    store.close()
    store.path.write_bytes(content)
    with pytest.raises(HarnessError, match="db rescue FILE"):
        list(Store(store.path).rows("generation"))
    with pytest.raises(HarnessError, match="db rescue FILE"):
        Store(store.path).connection.execute("SELECT * FROM generation").fetchall()


def test_any_other_refusal_of_sqlite_is_a_message(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    log = store.start_alignment("gone", method="dpo", seed=0, panel="", key="a", config={})
    store.remove_run("gone")
    with pytest.raises(HarnessError, match=r"r\.sqlite: FOREIGN KEY constraint failed"):
        log.log_step(1, {"loss": 0.5})
    with pytest.raises(HarnessError, match="no such table"), store.connection as db:
        db.execute("SELECT * FROM absent")


def test_a_file_that_vanishes_while_it_is_used_is_said_to_be_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "work" / "r.sqlite")
    store.save_answers("m", [("q", Answer("x"))])
    (tmp_path / "work").rename(tmp_path / "moved")
    with pytest.raises(HarnessError, match=r"r\.sqlite was removed, moved or replaced"):
        store.save_answers("m", [("r", Answer("lost"))])
    store.close()
    (tmp_path / "moved").rename(tmp_path / "work")
    assert set(Store(store.path).answers("m", ["q", "r"])) == {"q"}


def test_a_connection_keeps_no_reference_to_each_cursor_that_it_ever_made(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    for number in range(2_000):
        store.save_answers("m", [(str(number), Answer("x"))])
    lists = [held for held in gc.get_referents(store.connection) if isinstance(held, list)]
    assert lists and sum(len(held) for held in lists) < 1_000
