"""What a model under test is to the engine, and how a model is named on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.protocols.benchmark import Decoding, Sample


@dataclass(frozen=True)
class Answer:
    """A model's answer to one sample, or the reason why there is none."""

    text: str | None
    error: str | None = None
    tokens: int = 0
    seconds: float = 0.0


class Model(Protocol):
    """A model under test.

    ``name`` is what tables show, ``spec`` how to name it again, ``key`` the identity of its weights and of the route
    by which it answers: answers are stored under it.
    """

    name: str
    spec: str
    key: str

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Yield (position in ``samples``, answer) as they come, one for every sample."""
        ...
