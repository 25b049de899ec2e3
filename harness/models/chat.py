"""A model under test behind an OpenAI-compatible endpoint (vLLM, SGLang, OpenAI): ``openai:NAME@BASE_URL``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.chat.client import OpenAIJudge
from harness.errors import UsageError
from harness.protocols.benchmark import Decoding, JudgePrompt, Sample
from harness.protocols.judge import JudgeRequest
from harness.protocols.model import Answer, Model
from harness.util.options import content_key


class OpenAIModel(Model):
    """A Model over HTTP: a sample is asked as a judge is, so retries, throttle and accounts are the judge's.

    ``key`` is the model's name and endpoint: what stands behind them cannot be seen from here. ``argument`` is
    ``NAME@BASE_URL``; UsageError if it cannot be read or a key is missing.
    """

    def __init__(self, argument: str, settings: Mapping[str, Any] | None = None) -> None:
        self._client = OpenAIJudge(argument, settings=settings)
        self.name = self._client.model
        self.spec = f"openai:{argument}"
        self.batch_size = 2 * self._client.concurrency  # what is claimed at a time where work is shared
        self.key = content_key("openai", self._client.model, self._client.endpoint)
        self.route = f"openai, {self._client.endpoint}"

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Answers in order of arrival. A decoding that the endpoint cannot do raises UsageError before any call."""
        if decoding.num_beams > 1 or decoding.eos_bias:
            raise UsageError(
                f"{self.spec}: an OpenAI-compatible endpoint has no beam search and no end-of-sequence bias, and the "
                f"benchmark asks for num_beams={decoding.num_beams}, eos_bias={decoding.eos_bias:g}. Run the model as "
                "hf:, or answer elsewhere and name the answers replay:FILE.jsonl."
            )
        requests = [
            JudgeRequest(
                sample.id,
                JudgePrompt(
                    sample.prompt,
                    temperature=decoding.temperature,
                    max_tokens=decoding.max_new_tokens,
                    image=sample.image,
                ),
                answer="",
            )
            for sample in samples
        ]
        before = time.perf_counter()
        for position, reply in self._client.ask(requests):
            now = time.perf_counter()
            yield position, Answer(reply.text, reply.error, reply.usage.get("completion_tokens", 0), now - before)
            before = time.perf_counter()
