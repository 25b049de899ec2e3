"""What to do about a run that has no evaluation, or none since it was aligned anew."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from harness.errors import UsageError, unknown_name
from leaderboards.run_groups import RunGroups


def bench_again(run: str) -> str:
    """The command that benchmarks a run, quoted so that a shell takes its name for nothing else."""
    return shlex.join(["python", "cli.py", "bench", "--model", f"run:{run}"])


def unknown_run(name: str, known: Iterable[str], groups: RunGroups) -> UsageError:
    """The error for a run or method that has no evaluation: it was aligned alone, or is none (the nearest is named)."""
    for alignment in groups.alignments.values():
        if alignment.status == "done" and name in (alignment.name, alignment.method):
            return UsageError(f"{name} was aligned and has no evaluation: `{bench_again(alignment.name)}` first.")
    return unknown_name("run or method", name, known)
