"""Faults that are none of file operations: two commands at once, signals, closed pipes, locks, lost workers."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from tests.faults.counts import Counts
from tests.faults.lane import DB, TRACEBACK, Lane
from tests.faults.observed import different, rows_of
from tests.faults.runner import Situation
from tests.faults.scenarios import mmhal_data, score

SCORED = (0, 3)


def _fresh(lane: Lane) -> None:
    lane.empty()
    mmhal_data(lane)


def _undisturbed(lane: Lane) -> int:
    """Score once undisturbed; returns the replies paid. Then everything is as before."""
    _fresh(lane)
    lane.run(score(lane))
    return lane.paid.total()


def signalled(lane: Lane, counts: Counts) -> None:
    """INT, TERM and HUP, once and twice: a message, exit code 128 + signal, and the next run completes it."""
    paid = _undisturbed(lane)
    expected = rows_of(lane.folder / DB)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for times in (1, 2):
            _fresh(lane)
            lane.server.latency = 0.1
            running = lane.start(score(lane))
            lane.asked(3)
            for _ in range(times):
                running.signal(number)
            code, where = running.wait(), f"{number.name} {times} times"
            lane.server.latency = 0.0
            counts.add("faults")
            if code != 128 + number:
                counts.blame("not as undisturbed", f"{where}: exit code {code}: {running.stderr[-300:]}")
            if TRACEBACK in running.stderr:
                counts.blame("tracebacks", f"{where}: {running.stderr[-600:]}")
            lane.run(score(lane))
            for text in different(expected, rows_of(lane.folder / DB))[:1]:
                counts.blame("not as undisturbed", f"{where}: {text}")
            if lane.paid.total() > paid + 7:
                counts.blame("replies paid twice", f"{where}: {lane.paid.total() - paid} replies")


SITUATIONS: Mapping[str, Situation] = {"signals": signalled}
