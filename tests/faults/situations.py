"""Faults that are none of file operations: signals, two commands at once, locks, and what a command meets around it."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing

from tests.faults import at_once, surroundings
from tests.faults.counts import Counts
from tests.faults.lane import DB, TRACEBACK, Lane
from tests.faults.observed import different, rows_of
from tests.faults.runner import Situation
from tests.faults.scenarios import SCENARIOS, mmhal_data, score
from tests.faults.warm import Running

SCORED = (0, 3)
SLOWED = (2.0, 4.0, 8.0)
"""Seconds of a judge's reply while signals come, try by try."""
ASKED = 3
"""Questions to the judge after which they come."""


def _fresh(lane: Lane) -> None:
    lane.empty()
    mmhal_data(lane)


def _undisturbed(lane: Lane) -> int:
    """Score once undisturbed; returns the replies paid. Then everything is as before."""
    _fresh(lane)
    lane.run(score(lane))
    return lane.paid.total()


def sent(lane: Lane, number: signal.Signals, times: int, paid: int) -> Running | None:
    """A scoring that got its signals while the judge was asked and had more to be asked (of ``paid`` replies).

    On a loaded machine it may have ended before, or not have begun: that is no trial, and it is tried again, slower.
    """
    for slowed in SLOWED:
        _fresh(lane)
        lane.server.latency = slowed
        running = lane.start(score(lane))
        lane.asked(ASKED)
        if len(lane.server.calls) >= ASKED and lane.paid.total() < paid:
            for _ in range(times):
                running.signal(number)
            return running
        lane.server.latency = 0.0
        running.wait()
    return None


def signalled(lane: Lane, counts: Counts) -> None:
    """INT, TERM and HUP, once and twice: a message, exit code 128 + signal, and the next run completes it."""
    paid = _undisturbed(lane)
    expected = rows_of(lane.folder / DB)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        for times in (1, 2):
            where = f"{number.name} {times} times"
            running = sent(lane, number, times, paid)
            if running is None:
                counts.blame("stuck", f"{where}: not tried, it never came while the judge was asked")
                continue
            code = running.wait()
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


def together(lane: Lane, counts: Counts) -> None:
    """Two commands at once on one results file: the same scoring twice, and a leaderboard meanwhile."""
    paid = _undisturbed(lane)
    expected = rows_of(lane.folder / DB)
    for other in (score(lane), ["leaderboard", "--db", DB, "--format", "markdown"]):
        _fresh(lane)
        lane.server.latency = 0.05
        first = lane.start(score(lane))
        lane.asked(1)
        second = lane.start(other)
        codes = [running.wait() for running in (first, second)]
        lane.server.latency = 0.0
        counts.add("faults")
        where = f"{other[0]} while score runs"
        for code, running in zip(codes, (first, second), strict=True):
            if code not in SCORED:
                counts.blame("not as undisturbed", f"{where}: exit code {code}: {running.stderr[-300:]}")
            if TRACEBACK in running.stderr:
                counts.blame("tracebacks", f"{where}: {running.stderr[-600:]}")
        for text in different(expected, rows_of(lane.folder / DB))[:1]:
            counts.blame("not as undisturbed", f"{where}: {text}")
        if lane.paid.total() > paid:
            counts.blame("replies paid twice", f"{where}: {lane.paid.total() - paid} replies")


def held(lane: Lane, counts: Counts) -> None:
    """Another program holds the results file for a while: the command waits for it."""
    _undisturbed(lane)
    expected = rows_of(lane.folder / DB)
    with closing(sqlite3.connect(lane.folder / DB)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        running = lane.start(score(lane))
        time.sleep(1.5)
        holder.rollback()
    code = running.wait()
    counts.add("faults")
    if code not in SCORED or different(expected, rows_of(lane.folder / DB)):
        counts.blame("not as undisturbed", f"a held file: exit code {code}: {running.stderr[-300:]}")


SITUATIONS: Mapping[str, Situation] = {
    "signals": signalled,
    "two at once": together,
    **at_once.situations(SCENARIOS),
    "a held file": held,
    **surroundings.SITUATIONS,
}
