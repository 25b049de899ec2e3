"""Models that need no weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model


class Recorded(Model):
    """Answers by sample id; ``asked`` holds the ids in the order they came."""

    name, spec, key, batch_size = "recorded", "recorded", "recorded", 4

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        for position, sample in enumerate(samples):
            self.asked.append(sample.id)
            yield position, self._answers[sample.id]
