"""Fuzzing of every reader of files, replies, settings and names: ``python -m tests.fuzz``."""

from tests.fuzz.runner import Counts, run

__all__ = ["Counts", "run"]
