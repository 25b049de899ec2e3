"""What a judge is to the engine: questions in, raw replies out, each as soon as it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.protocols.benchmark import JudgePrompt


@dataclass(frozen=True)
class JudgeRequest:
    """A question about the answer to sample ``sample_id``, asked in judge run ``run`` for the ``attempt``-th time.

    ``answer`` is what is judged; a judge that knows the truth of the embedded world reads it instead of the prompt.
    """

    sample_id: str
    question: JudgePrompt
    answer: str
    run: int = 0
    attempt: int = 0


@dataclass(frozen=True)
class Reply:
    """A judge's raw reply, or why there is none. ``model`` is the name the endpoint returned."""

    text: str | None
    model: str
    error: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)


class Judge(Protocol):
    """A judge. ``name`` is the judge as asked for, ``endpoint`` where it answers: both are in the replies' key."""

    name: str
    endpoint: str
    concurrency: int

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        """Yield (position in ``requests``, reply) in order of arrival, one for every request."""
        ...
