"""Results files as earlier versions of the harness left them, and a process that is killed while it opens one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store, connection
from harness.store.migrations import migrate, schema

FIRST_ROWS = """
INSERT INTO sample VALUES ('d', 's', 0, 'What is it?', '/data/s.jpg', 'g', '{}');
INSERT INTO generation (model_key, question_key, text, error, tokens, seconds, created)
    VALUES ('m', 'q', 'A cat.', NULL, 3, 0.5, '2026-01-01T00:00:00.000+00:00');
INSERT INTO reply VALUES ('openai:j', 'http://x', 'q', 0, 0, 'Rating: 4', 'j', NULL, '{}', '2026-01-01T00:00:01');
INSERT INTO evaluation VALUES (1, 'k', 'base', 'hf:x', 'm', NULL, 'amber', '{}', '1', 'plain', 'none', 'd', '/data',
    '{}', 1, 1, 0, '{"chair": {"value": 5.0}}', '{}', '2026-01-01T00:00:02.000+00:00');
INSERT INTO verdict VALUES (1, 's', 0, 'g', 'A cat.', '{"n": 1.0}', NULL, '{}');
INSERT INTO alignment (name, method, seed, panel, key, config, info, status, model_dir, seconds, created)
    VALUES ('dpo-s0', 'dpo', 0, '', 'a', '{}', '{}', 'done', '/m', 1.5, '2026-01-01T00:00:03.000+00:00');
INSERT INTO train_log VALUES ('dpo-s0', 1, '{"loss": 0.7}');
INSERT INTO gap VALUES ('dpo-s0', 1, 'train', 'p', 0.25);
INSERT INTO hardness VALUES ('dpo-s0', 'train', 'p', 0.5);
"""
"""A row of every table of version 0.1.0 (schema 1)."""
FILLED = ("sample", "generation", "reply", "evaluation", "verdict", "alignment", "train_log", "gap", "hardness")


def old_file(path: Path, version: int) -> Path:
    """A results file of schema ``version`` with a row in each of the first tables."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        migrate(db, 1)
        db.executescript(FIRST_ROWS)
        migrate(db, version)
    return path


def as_before(path: Path, version: int) -> None:
    """Make a file of today one that has never seen migration ``version``: without the tables that it made."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        for table in schema(version).keys() - schema(version - 1).keys():
            db.execute(f"DROP TABLE {table}")
        db.execute(f"PRAGMA user_version = {version - 1}")
        db.commit()


def require_all_rows(store: Store) -> None:
    """Fail where a row of ``old_file`` is missing, or the file is not sound."""
    assert {table: store.count(table) for table in FILLED} == dict.fromkeys(FILLED, 1)
    assert store.answers("m", ["q"])["q"].text == "A cat." and store.alignment("dpo-s0").method == "dpo"
    assert not store.faults()


def in_child(work: Callable[[], Any]) -> int:
    """The exit code of ``work`` in a process of its own; 99 where it raised."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        work()
        os._exit(0)
    except BaseException:  # whatever it is, the parent asserts that it is not
        os._exit(99)


def open_and_die(path: Path, statements: int) -> bool:
    """Open ``path`` in a process that is gone after so many statements; whether it came to its end before."""

    def work() -> None:
        left = [statements]
        real = connection.Cursor.execute

        def execute(cursor: connection.Cursor, *arguments: Any) -> connection.Cursor:
            if left[0] == 0:
                os._exit(9)
            left[0] -= 1
            return real(cursor, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(connection.Cursor, "execute", execute)
            Store(path)
            os._exit(0)

    code = in_child(work)
    assert code in (0, 9)
    return code == 0
