from __future__ import annotations

from pathlib import Path

from tests.faults.soak import LASTING, play, soak
from tests.harness.fault_server import FaultServer


def test_of_questions_whose_calls_often_fail_each_has_its_own_score_or_none_and_is_stored_once(tmp_path: Path) -> None:
    with FaultServer(play, keep=False) as server:
        figures = soak(server.url, 2 * LASTING, LASTING, tmp_path)
    assert figures.faults == []
    assert (figures.scored, figures.failed) == (2 * (LASTING - 3), 2 * 3)
