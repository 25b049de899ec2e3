"""What `make test-faults` runs beside the trials: the fuzzer and the soak of the judge."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.faults.counts import Counts
from tests.fuzz.runner import run as run_fuzzer
from tests.house import ROOT

OTHERS = ("fuzz", "soak")
SHARE_FAILING = 0.3


def fuzzed(inputs: int, seed: int) -> Counts:
    """The inputs of the fuzzer; what raised anything but the project's own errors is a traceback."""
    began, counts = time.monotonic(), Counts("fuzz")
    found = run_fuzzer(inputs, seed)
    counts.add("inputs", found.inputs)
    for fault in found.faults:
        counts.blame("tracebacks", f"fuzz, input {fault.number}: {fault.given!r:.200}: {fault.what[-400:]}")
    counts.seconds = time.monotonic() - began
    return counts


def soaked(questions: int) -> Counts:
    """The judge asked ``questions`` while three calls in ten fail, in a process whose memory is measured."""
    began, counts = time.monotonic(), Counts("soak")
    words = [sys.executable, "-m", "tests.faults.soak", "--questions", str(questions)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout.strip(), file=sys.stderr)
    counts.add("faults", round(questions * SHARE_FAILING))
    if done.returncode:
        kind = "scores from failures" if "invented" in done.stderr else "not as undisturbed"
        counts.blame(kind, f"soak: {done.stderr[-400:]}")
    counts.seconds = time.monotonic() - began
    return counts
