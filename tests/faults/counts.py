"""What a run of faults comes to: how much was tried, and what went wrong, which must be nothing."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

TRIED = ("kills", "crash points", "faults", "inputs")
"""Kills: SIGKILLs. Crash points: distinct file operations of a command that it was killed at. Faults: disk errors,
signals, locks, races, clock jumps. Inputs: of the fuzzer."""
WRONGS = (
    "rows lost",
    "scores from failures",
    "secrets found",
    "wrong models",
    "replies paid twice",
    "tracebacks",
    "left behind",
    "not as undisturbed",
    "stuck",
)


@dataclass
class Counts:
    """Counts of one scenario; ``wrong`` says of each fault found what it was."""

    name: str
    tried: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.tried[what] += number

    def blame(self, kind: str, what: str) -> None:
        """Note something that must not be; ``kind`` is one of WRONGS."""
        assert kind in WRONGS, kind
        with self._lock:
            self.wrong.append((kind, what))

    @property
    def wrongs(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.wrong)

    def as_json(self) -> dict[str, Any]:
        """For the file of a run."""
        found = {"name": self.name, "seconds": round(self.seconds, 1), "wrong": self.wrong}
        return {**found, **{what: self.tried[what] for what in TRIED}, "wrongs": dict(self.wrongs)}

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Counts:
        """As ``as_json`` wrote it."""
        tried = Counter({what: stored[what] for what in TRIED})
        return cls(stored["name"], tried, [(kind, what) for kind, what in stored["wrong"]], stored["seconds"])


def total(parts: list[Counts]) -> Counts:
    """The sum of ``parts``."""
    summed = Counts("total", seconds=sum(part.seconds for part in parts))
    for part in parts:
        summed.tried.update(part.tried)
        summed.wrong += part.wrong
    return summed
