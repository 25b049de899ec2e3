"""What a benchmark raises of a judge's replies that it cannot read."""

from __future__ import annotations


class JudgeParseError(Exception):
    """The judge's reply cannot be read; the engine asks again while attempts are left."""


class OfficiallyUnread(JudgeParseError):
    """Only the official reader cannot read it: recorded replies are read on, a live judge is not asked again.

    ``Benchmark.unreadable`` then gives the verdict that the replies hold.
    """
