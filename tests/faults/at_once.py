"""Two commands of one kind at once on one results file: nothing is done twice, lost or mixed."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.faults.counts import Counts
from tests.faults.lane import DB, TRACEBACK, Lane, Scenario
from tests.faults.observed import different, observe, rows_of
from tests.faults.runner import Situation

APART = (0.0, 0.5, 2.0)
"""Seconds from the start of the first to that of the second."""
REFUSED = (1, 2)
"""Exit codes of a command that says that another one does the same."""


def twice(asked: Scenario) -> Situation:
    """The situation in which the command of ``asked`` is given twice at once."""

    def both(lane: Lane, counts: Counts) -> None:
        lane.prepared(asked)
        lane.reset()
        words = asked.words(lane)
        lane.run(words)
        expected = observe(lane.folder, DB, asked.exact)
        for apart in APART:
            lane.reset()
            first = lane.start(words)
            time.sleep(apart)
            second = lane.start(words)
            codes = sorted(running.wait() for running in (first, second))
            counts.add("faults")
            where = f"two {asked.name} {apart} s apart"
            said = first.stderr + second.stderr
            if codes[0] not in asked.codes or codes[1] not in {*asked.codes, *REFUSED}:
                counts.blame("not as undisturbed", f"{where}: exit codes {codes}: {said[-400:]}")
            if TRACEBACK in said:
                counts.blame("tracebacks", f"{where}: {said[-600:]}")
            for text in different(expected.rows, rows_of(lane.folder / DB))[:1]:
                counts.blame("not as undisturbed", f"{where}: {text}")
            seen = observe(lane.folder, DB, asked.exact)
            if seen.hashes != expected.hashes:
                counts.blame("wrong models", f"{where}: {sorted(seen.hashes)}, expected {sorted(expected.hashes)}")
            for name in sorted(seen.files - expected.files):
                counts.blame("left behind", f"{where}: {name}")

    return both


def situations(scenarios: Mapping[str, Scenario]) -> dict[str, Situation]:
    """By name, of the commands that a second shell may well repeat."""
    return {f"two {name} at once": twice(scenarios[name]) for name in ("align", "bench on a new file")}
