"""A model under test behind an OpenAI-compatible endpoint (vLLM, SGLang, OpenAI): ``openai:NAME@BASE_URL``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from harness.chat.client import ChatClient
from harness.chat.endpoint import parse_endpoint
from harness.chat.request import Caller, ChatRequest
from harness.chat.settings import ChatSettings
from harness.errors import UsageError
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.util.options import content_key


class OpenAIModel(Model):
    """A Model over HTTP: any OpenAI-compatible endpoint, with the client's retries, throttle and accounts.

    ``key`` is the model's name and endpoint: what stands behind them cannot be seen from here. ``argument`` is
    ``NAME@BASE_URL``; UsageError if it cannot be read or a key is missing.
    """

    def __init__(self, argument: str, settings: ChatSettings | None = None) -> None:
        chosen = settings or ChatSettings()
        self.spec = f"openai:{argument}"
        self.name, endpoint = parse_endpoint(argument, "--model")
        self._client = ChatClient(self.name, endpoint, Caller("model", f"--model {self.spec}", "model."), chosen)
        self._client.check()
        self.batch_size = 2 * chosen.concurrency  # enough to keep the endpoint busy
        self.key = content_key("openai", self.name, endpoint)
        self.route = f"openai, {endpoint}"

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Answers in order of arrival. A decoding that the endpoint cannot do raises UsageError before any call."""
        if decoding.num_beams > 1 or decoding.eos_bias:
            raise UsageError(
                f"{self.spec}: an OpenAI-compatible endpoint has no beam search and no end-of-sequence bias, and the "
                f"benchmark asks for num_beams={decoding.num_beams}, eos_bias={decoding.eos_bias:g}. Run the model as "
                "hf:, or answer elsewhere and name the answers replay:FILE.jsonl."
            )
        requests = [ChatRequest((sample.turn,), decoding.temperature, decoding.max_new_tokens) for sample in samples]
        before = time.perf_counter()
        for position, reply in self._client.ask(requests):
            now = time.perf_counter()
            yield position, Answer(reply.text, reply.error, reply.usage.get("completion_tokens", 0), now - before)
            before = time.perf_counter()
