"""How many calls may be in flight, and how long to wait: additive increase, multiplicative decrease.

What narrows is HTTP 429 and an answer that does not come in time: a small server works at one call after the other.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime


class Throttle:
    """A gate for calls whose width follows the endpoint's rate limit.

    Starts at ``ceiling``. A 429 halves it (once for all calls that were sent before the cut, since they show the
    same overload), every success widens it by 1/width, so by one call per round, as TCP does.
    ``limits`` counts the cuts by rate limits since a call was answered, and ``limited_for`` the seconds since the first
    of them. Belongs to one event loop.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = float(max(1, ceiling))
        self.width = self.ceiling
        self._active = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.limits = 0
        self._limited_at = 0.0
        self._closed_until = 0.0
        self._cut_at = 0.0

    @property
    def limited_for(self) -> float:
        return time.monotonic() - self._limited_at if self.limits else 0.0

    async def enter(self) -> float:
        """Wait for a place; returns the time of entry, to be given to ``rate_limited``."""
        while True:
            now = time.monotonic()
            if now < self._closed_until:
                await asyncio.sleep(self._closed_until - now)
            elif self._active < int(self.width):
                self._active += 1
                return now
            else:
                slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.append(slot)
                await slot

    def leave(self) -> None:
        """Give the place back."""
        self._active -= 1
        for _ in range(min(len(self._waiting), int(self.width) - self._active)):
            slot = self._waiting.popleft()
            if not slot.done():
                slot.set_result(None)

    def succeeded(self) -> None:
        """A call was answered: widen."""
        self.width = min(self.ceiling, self.width + 1 / self.width)
        self.limits = 0

    def rate_limited(self, entered: float, pause: float) -> None:
        """A call that entered at ``entered`` got 429: narrow, and let nobody in for ``pause`` seconds."""
        self._closed_until = max(self._closed_until, time.monotonic() + pause)
        self._limited_at = self._limited_at if self.limits else time.monotonic()
        self.limits += entered >= self._cut_at
        self.narrow(entered)

    def narrow(self, entered: float) -> None:
        """A call that entered at ``entered`` was one too many: half as many from now on."""
        if entered >= self._cut_at:
            self._cut_at = time.monotonic()
            self.width = max(1.0, self.width / 2)


def backoff(failures: int, first: float, longest: float) -> float:
    """Seconds to wait after the ``failures``-th failure in a row: doubling, with jitter of half to one and a half."""
    return float(min(longest, first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.5))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: ``retry-after-ms``, or ``retry-after`` in seconds or as a date.

    None where it does not ask, or asks for what is no time.
    """
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif (asked := headers.get("retry-after", "").strip()).replace(".", "", 1).isdigit():
            seconds = float(asked)
        else:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return None if math.isnan(seconds) else max(0.0, seconds)
