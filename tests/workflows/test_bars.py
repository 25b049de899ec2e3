"""Progress: bars on a terminal, lines for a log file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from workflows import bars

STEP = "a [long] step of many words"


def test_a_log_file_gets_lines_of_long_steps_and_none_of_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0, 4.0, 13.5, 14.0, 20.0, 20.5])
    monkeypatch.setattr("workflows.bars.time.monotonic", lambda: next(clock))
    log = io.StringIO()
    with bars.bars(Console(file=log, width=20)) as progress:
        for done in (1, 2, 3, 4, 5, 6):  # at 0, 1, 3, 4, 13.5 and 14 seconds
            progress(STEP, done, 6, f"loss 0.{done}")
        progress("short", 1, 2)
        progress("short", 2, 2)
    assert log.getvalue().splitlines() == [
        f"{STEP}: 3 of 6  loss 0.3  1.5 s each  0:00:04 left",
        f"{STEP}: 5 of 6  loss 0.5  3.4 s each  0:00:03 left",
        f"{STEP}: 6 of 6  loss 0.6  2.8 s each",
    ]


def test_a_resumed_step_is_as_fast_as_what_was_done_since(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("workflows.bars.time.monotonic", lambda: next(clock))
    log = io.StringIO()
    with bars.bars(Console(file=log)) as progress:
        progress("training steps", 201, 1000)
        progress("training steps", 221, 1000)
    assert log.getvalue() == "training steps: 221 of 1000  2.0/s  0:06:30 left\n"


def test_a_step_that_says_it_begins_is_named_at_once() -> None:
    log = io.StringIO()
    with bars.bars(Console(file=log)) as progress:
        progress("model weights", 0, 1)
        assert log.getvalue() == "model weights: 0 of 1\n"


@pytest.mark.parametrize(("width", "note"), [(140, "loss 0.7  [margin] 0.1"), (70, "loss 0.7  [ma…")])
def test_a_terminal_shows_the_note_beside_the_bar_and_cuts_nothing_else(width: int, note: str) -> None:
    screen = io.StringIO()
    with bars.bars(Console(file=screen, width=width, force_terminal=True, color_system=None)) as progress:
        progress(STEP, 1, 60, "loss 0.7  [margin] 0.1")
    assert STEP in screen.getvalue() and note in screen.getvalue() and " 1/60 -:--:-- " in screen.getvalue()
