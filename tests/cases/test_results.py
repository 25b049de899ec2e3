"""The results file under a command that another program disturbs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from harness.store import connection
from tests.cases.running import figures, judge_at, mmhal, said, score
from tests.harness.fault_server import FaultServer


def test_a_results_file_that_another_program_keeps_locked_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WAIT", 0.05)
    data = mmhal(tmp_path / "d", 3)
    with FaultServer(lambda prompt, nth: "Rating: 4") as server:
        score("mmhal", data, judge_at(server))
        browser = sqlite3.connect(data / "r.sqlite", isolation_level=None)
        browser.execute("BEGIN IMMEDIATE")
        message = said(
            score("mmhal", mmhal(tmp_path / "e", 4), [*judge_at(server), "--db", str(data / "r.sqlite")], code=1)
        )
        browser.execute("ROLLBACK")
        browser.close()
        again = figures(score("mmhal", tmp_path / "e", [*judge_at(server), "--db", str(data / "r.sqlite")]))
    assert "r.sqlite is locked by another program" in message and "run the same command again" in message
    assert again["n_scored"] == 4
