"""What a command meets around it: nobody who reads its output, a file system that cannot be written, a lost worker."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.counts import Counts
from tests.faults.lane import DB, SECRET, TRACEBACK, Lane
from tests.faults.observed import different, observe, rows_of
from tests.faults.runner import Situation
from tests.faults.scenarios import ablate, ablation, score, scored
from tests.faults.warm import LONGEST, OFFLINE, ONE_THREAD
from tests.house import ROOT

CLI = (sys.executable, str(ROOT / "cli.py"))
OLD_ENOUGH = 3.0
"""Seconds after which a worker is at work."""


def _environment(lane: Lane) -> dict[str, str]:
    home = {"DAMA_HOME": str(lane.folder / "home"), "OPENAI_API_KEY": SECRET}
    return {**os.environ, **ONE_THREAD, **OFFLINE, **home}


def closed(lane: Lane, counts: Counts) -> None:
    """Nobody reads what a command prints (`| head -1`): no noise about it on stderr, and exit code 0 or 1."""
    lane.empty()
    scored(lane)
    for words in (["leaderboard", "--db", DB], ["leaderboard", "--db", DB, "--format", "json"], ["list", "settings"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*CLI, *words], cwd=lane.folder, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=LONGEST,
            check=False, env=_environment(lane),
        )  # fmt: skip
        os.close(writing)
        counts.add("faults")
        where = f"{' '.join(words)} into a closed pipe"
        if "BrokenPipe" in done.stderr or TRACEBACK in done.stderr:
            counts.blame("tracebacks", f"{where}: {done.stderr[-300:]}")
        if done.returncode not in (0, 1):
            counts.blame("not as undisturbed", f"{where}: exit code {done.returncode}")


def mounted_read_only(folder: Path, words: Sequence[str]) -> list[str]:
    """A command that runs ``words`` where ``folder`` is mounted for reading alone; for it alone, as root."""
    where = shlex.quote(str(folder))
    mount = (
        f"mount --bind {where} {where} && mount -o remount,ro,bind {where} && cd {where} && exec {shlex.join(words)}"
    )
    return ["unshare", "--mount", "sh", "-c", mount]


def read_only(lane: Lane, counts: Counts) -> None:
    """A mount that cannot be written: what reads works, what writes says so; nothing changes."""
    lane.empty()
    scored(lane)
    try:
        subprocess.run(mounted_read_only(lane.folder, ["true"]), check=True, capture_output=True, timeout=LONGEST)
    except (OSError, subprocess.CalledProcessError):
        return  # not allowed here: none is counted
    before = observe(lane.folder, DB, ("**/*",))
    reads = ["leaderboard", "--db", DB, "--format", "csv"], ["show", "others", "--db", DB], ["status", "--db", DB]
    for words, code in (*((read, 0) for read in reads), (score(lane), 1), (["db", "hide", "others", "--db", DB], 1)):
        command = mounted_read_only(lane.folder, [*CLI, *words])
        done = subprocess.run(
            command, env=_environment(lane), capture_output=True, text=True, timeout=LONGEST, check=False
        )
        counts.add("faults")
        where = f"{' '.join(words)[:60]} on a read-only mount"
        if done.returncode != code:
            counts.blame("not as undisturbed", f"{where}: exit code {done.returncode}: {done.stderr[-300:]}")
        if TRACEBACK in done.stderr:
            counts.blame("tracebacks", f"{where}: {done.stderr[-600:]}")
        if observe(lane.folder, DB, ("**/*",)) != before:
            counts.blame("not as undisturbed", f"{where}: something has changed")


def lost_worker(lane: Lane, counts: Counts) -> None:
    """One worker of an ablation is killed: its job is tried again, the others are not disturbed."""
    lane.empty()
    ablation(lane)
    lane.run(ablate(lane))
    expected = rows_of(lane.folder / DB)
    lane.empty()
    ablation(lane)
    running = lane.start(ablate(lane))
    found = _worker(running.pid)
    if found:
        os.kill(found, signal.SIGKILL)
        counts.add("kills")
    code = running.wait()
    if code != 0 or not found:
        counts.blame("not as undisturbed", f"a worker ({found}) killed: exit code {code}: {running.stderr[-400:]}")
    if TRACEBACK in running.stderr:
        counts.blame("tracebacks", f"a worker killed: {running.stderr[-600:]}")
    for text in different(expected, rows_of(lane.folder / DB))[:1]:
        counts.blame("not as undisturbed", f"a worker killed: {text}")


def _worker(parent: int) -> int | None:
    """A worker process of ``parent`` that has been at work for a while."""
    deadline = time.monotonic() + LONGEST / 2
    while time.monotonic() < deadline:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_text()
                group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            except (OSError, ValueError):
                continue
            if group == parent and "spawn_main" in words:
                time.sleep(OLD_ENOUGH)
                return int(folder.name)
        time.sleep(0.1)
    return None


SITUATIONS: Mapping[str, Situation] = {
    "a closed pipe": closed,
    "a read-only mount": read_only,
    "a lost worker": lost_worker,
}
