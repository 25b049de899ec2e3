"""The plan of a run: which faults are played on which scenario, in lanes side by side."""

from __future__ import annotations

import errno
import itertools
import queue
import random
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.faults.counts import Counts
from tests.faults.lane import Lane, Scenario, Trials
from tests.faults.material import make
from tests.faults.tear import Fault, Mode

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)
JUMPS = (-400 * 86400, 400 * 86400, -3600)
"""Seconds that the clock jumps by: a battery that was empty, a year ahead, the end of summer time."""
LINKS = 4
"""Kills in a row, at most."""


Work = queue.SimpleQueue[tuple[str, Callable[[Lane], None]]]
"""What the lanes have still to do, by the name of its scenario or situation."""


class Situation(Protocol):
    """A fault that is not one of file operations: two commands at once, a signal, a closed pipe."""

    def __call__(self, lane: Lane, counts: Counts) -> None:
        """Bring it about in ``lane``; what is found goes into ``counts``."""


@dataclass(frozen=True)
class Part:
    """What one lane does of a scenario: every ``of``-th of its trials, from ``index`` on."""

    scenario: Scenario
    kills: int
    index: int = 0
    of: int = 1


def planned(scenarios: Sequence[Scenario], kills: int, lanes: int) -> list[Part]:
    """The parts of a run of about ``kills`` kills, the dearest first; cheap scenarios are killed more often."""
    cheap = {each.name: each.weight**-0.5 for each in scenarios}
    parts = []
    for each in sorted(scenarios, key=lambda scenario: -scenario.weight):
        share = round(kills * cheap[each.name] / sum(cheap.values()))
        parts += [Part(each, share, index, lanes) for index in range(lanes)]
    return parts


def faults(operations: int, kills: int, draw: random.Random) -> tuple[list[Fault], int]:
    """The faults for a command of so many file operations, and the chains of kills at random moments.

    Four fifths of the kills are at enumerated operations, all of them where that is enough; there the process is
    killed before the operation, or within it (a write is torn). A quarter as many disk errors, and up to three clock
    jumps.
    """
    points = [(mode, at) for at in range(1, operations + 1) for mode in (Mode.KILL, Mode.TEAR)]
    chosen = sorted(draw.sample(points, min(len(points), max(1, kills * 4 // 5))), key=lambda point: point[1])
    errors = sorted(draw.sample(range(1, operations + 1), min(operations, max(1, kills // 4))))
    played = [Fault(mode, at) for mode, at in chosen]
    played += [Fault(Mode.FAIL, at, error=error) for at, error in zip(errors, itertools.cycle(ERRORS), strict=False)]
    played += [Fault(Mode.JUMP, draw.randint(1, operations), jump=jump) for jump in JUMPS[: max(1, kills // 4)]]
    return played, max(1, (kills - len(chosen)) // (LINKS - 1))


def play(part: Part, lane: Lane, *, counts: Counts, seed: int) -> None:
    """All trials of ``part``."""
    trials = Trials(lane, part.scenario, counts)
    draw = random.Random(f"{seed} {part.scenario.name}")
    played, chains = faults(trials.expected.operations, part.kills, draw)
    for fault in played[part.index :: part.of]:
        trials.at(fault)
    for number in range(part.index, chains, part.of):
        trials.chain(random.Random(f"{seed} {part.scenario.name} {number}"), LINKS, trials.expected.seconds)


def run(
    scenarios: Sequence[Scenario],
    situations: Mapping[str, Situation],
    *,
    kills: int,
    seed: int,
    lanes: int,
    say: Callable[[str], None] = lambda text: None,
) -> list[Counts]:
    """Disturb every scenario and bring about every situation; one Counts each."""
    counts = {name: Counts(name) for name in [*(each.name for each in scenarios), *situations]}
    work: Work = queue.SimpleQueue()

    def named(name: str, do: Callable[[Lane], None]) -> Callable[[Lane], None]:
        def done(lane: Lane) -> None:
            began = time.monotonic()
            try:
                do(lane)
            except Exception:  # the others still run; what cannot be tried is no success
                counts[name].blame("stuck", traceback.format_exc())
            counts[name].seconds += time.monotonic() - began
            say(f"{name}: {time.monotonic() - began:.0f} s")

        return done

    for part in planned(scenarios, kills, lanes):
        name = part.scenario.name
        work.put((name, named(name, partial(play, part, counts=counts[name], seed=seed))))
    for name, situation in situations.items():
        work.put((name, named(name, partial(situation, counts=counts[name]))))
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        shared = make(Path(folder) / "shared")
        threads = [
            threading.Thread(target=_lane, args=(Path(folder) / f"lane{number}", shared, work))
            for number in range(lanes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    blame_untried(work, counts)
    return list(counts.values())


def blame_untried(work: Work, counts: Mapping[str, Counts]) -> None:
    """What is left of ``work`` was not tried, since no lane began or lived: that is no success."""
    for name, _ in _taken(work):
        counts[name].blame("stuck", f"{name}: not tried, there was no lane for it")


def _lane(root: Path, shared: Path, work: Work) -> None:
    with Lane(root, shared) as lane:
        for _, do in _taken(work):
            do(lane)


def _taken(work: Work) -> Iterator[tuple[str, Callable[[Lane], None]]]:
    while True:
        try:
            yield work.get_nowait()
        except queue.Empty:
            return
