"""One SQLite file that holds every step: answers, replies, verdicts, metrics, training curves.

Everything is written the moment it exists, under a key made of all that determined it, so nothing is computed twice
and an interrupted run resumes where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import UsageError
from harness.store.activities import Activities
from harness.store.alignments import Alignments
from harness.store.answers import Answers
from harness.store.evaluations import Evaluations
from harness.store.runs import Runs


class Store(Answers, Evaluations, Alignments, Runs, Activities):
    """The results file at ``path``: a small typed surface over its tables."""

    @classmethod
    def existing(cls, path: str | Path) -> Store:
        """The store at ``path``, for reading: a file that does not exist is not made but is a UsageError."""
        if Path(path).is_dir():
            raise UsageError(
                f"{path} is a directory; name the results file in it, for example {Path(path) / 'results.sqlite'}."
            )
        if not Path(path).is_file():
            raise UsageError(
                f"{path}: there is no such results file. Name yours with --db, or make one: `python cli.py demo`, or "
                "`align` and `bench` with your own model."
            )
        return cls(path)
