"""What workers of a cluster hold in tests: a model that takes its time, one that ends its process, a log of calls."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.cluster.models import ModelFacts, facts_of
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model


class Sleeping(Model):
    """Answers with the question, after ``seconds``; a question that says "die" ends the process, one that says "warn"
    warns. Each question is a line of ``log``, if there is one."""

    name, spec, key, route = "sleeping", "sleeping:here", "sleeping", "here"

    def __init__(self, seconds: float, log: Path | None, batch_size: int) -> None:
        self._seconds, self._log, self.batch_size = seconds, log, batch_size

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        for position, sample in enumerate(samples):
            if sample.prompt == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(self._seconds)
            if self._log is not None:
                with self._log.open("a", encoding="utf-8") as log:
                    log.write(f"{os.getpid()} {sample.group} {sample.id}\n")
            yield position, Answer(f"{sample.prompt}: {decoding.max_new_tokens}")


def sleeping(seconds: float, log: Path | None = None, batch_size: int = 8) -> tuple[Model, ModelFacts]:
    """Made in a worker."""
    model = Sleeping(seconds, log, batch_size)
    return model, facts_of(model)


def other_each_time() -> tuple[Model, ModelFacts]:
    """A model whose weights differ from worker to worker."""
    model = Sleeping(0, None, 1)
    model.key = f"weights of {os.getpid()}"
    return model, facts_of(model)


def asked(count: int, images: int, text: str = "what") -> list[Sample]:
    """``count`` questions about so many images."""
    return [Sample(str(i), f"{text} {i}", group=f"image {i % images}") for i in range(count)]
