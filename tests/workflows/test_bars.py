"""Progress where stderr is no terminal: lines for a log file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from workflows import bars


def test_a_log_file_gets_lines_of_long_steps_and_none_of_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 4.0, 13.5, 14.0, 20.0, 20.5])
    monkeypatch.setattr("workflows.bars.time.monotonic", lambda: next(clock))
    log = io.StringIO()
    with bars.bars(Console(file=log, width=20)) as progress:
        for done in (1, 2, 3, 4, 5, 6):  # at 0, 1, 3, 4, 13.5 and 14 seconds
            progress("a [long] step of many words", done, 6)
        progress("short", 1, 2)
        progress("short", 2, 2)
    assert log.getvalue().splitlines() == [f"a [long] step of many words: {done} of 6" for done in (3, 5, 6)]


def test_a_step_that_says_it_begins_is_named_at_once() -> None:
    log = io.StringIO()
    with bars.bars(Console(file=log)) as progress:
        progress("model weights", 0, 1)
        assert log.getvalue() == "model weights: 0 of 1\n"
