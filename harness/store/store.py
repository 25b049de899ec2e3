"""One SQLite file that holds every step: answers, replies, verdicts, metrics, training curves.

Everything is written the moment it exists, under a key made of all that determined it, so nothing is computed twice
and an interrupted run resumes where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from harness.store.activities import Activities
from harness.store.alignments import Alignments
from harness.store.answers import Answers
from harness.store.evaluations import Evaluations
from harness.store.judgements import Judgements
from harness.store.mentions import Mentions
from harness.store.opening import check_place, open_in_memory, open_to_read, require_file
from harness.store.probes import Probes
from harness.store.runs import Runs


class Store(Answers, Evaluations, Judgements, Mentions, Alignments, Probes, Runs, Activities):
    """The results file at ``path``: a small typed surface over its tables."""

    @classmethod
    def existing(cls, path: str | Path) -> Store:
        """The store at ``path``, to be changed: a file that does not exist is not made but is a UsageError."""
        require_file(Path(path))
        return cls(path)

    @classmethod
    def reading(cls, path: str | Path) -> Store:
        """The store at ``path``, for reading: also on a read-only share. One that does not exist is a UsageError."""
        return cls(path, open_to_read(Path(path)))

    @classmethod
    def planning(cls, path: str | Path) -> Store:
        """As ``reading``; where there is no file, an empty store in memory, and none is made."""
        check_place(Path(path))
        return cls.reading(path) if Path(path).exists() else cls(path, open_in_memory(Path(path)))
