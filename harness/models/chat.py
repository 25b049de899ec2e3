"""A model under test behind an OpenAI-compatible endpoint (vLLM, SGLang, OpenAI): ``openai:NAME@BASE_URL``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from harness.chat.client import ChatClient
from harness.chat.endpoint import parse_endpoint
from harness.chat.request import Caller, ChatReply, ChatRequest
from harness.chat.settings import ServedSettings
from harness.errors import UsageError
from harness.models.probe_served import probe_served
from harness.models.settings import other_system
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Turn
from harness.protocols.ending import CUT
from harness.protocols.model import Answer, Model
from harness.protocols.probe import Encode, Probe
from harness.util.options import content_key


class OpenAIModel(Model):
    """A Model over HTTP: any OpenAI-compatible endpoint, with the client's retries, throttle and accounts.

    ``key`` is the model's name and endpoint and what is sent beside the questions: what stands behind them cannot be
    seen from here. ``argument`` is ``NAME@BASE_URL``; UsageError if it cannot be read or a key is missing.
    """

    def __init__(self, argument: str, settings: ServedSettings | None = None) -> None:
        chosen = settings or ServedSettings()
        self.spec = f"openai:{argument}"
        self.name, endpoint = parse_endpoint(argument, "--model")
        self._client = ChatClient(self.name, endpoint, Caller("model", f"--model {self.spec}", "model."), chosen)
        self._client.check()
        self._settings = chosen
        self._system = (Turn("system", (chosen.system,)),) if chosen.system else ()
        self.batch_size = 2 * chosen.concurrency  # enough to keep the endpoint busy
        # 2: the image before the text, as every chat template of a family has it; before, it came after.
        self.key = content_key("openai-2", self.name, endpoint, chosen.system, chosen.asked)
        self.route = f"openai, {endpoint}"

    def probe(self, encode: Encode | None = None, turns: Sequence[Turn] = ()) -> Probe:
        return probe_served(self.name, self._settings, self._replies, encode, turns)

    def _replies(self, conversations: Sequence[Sequence[Turn]], max_tokens: int, return_ids: bool) -> list[ChatReply]:
        """The replies to whole conversations, greedily decoded."""
        requests = [ChatRequest(tuple(turns), 0.0, max_tokens, return_ids=return_ids) for turns in conversations]
        replies = dict(self._client.ask(requests))
        return [replies[position] for position in range(len(conversations))]

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Answers in order of arrival. A decoding that the endpoint cannot do raises UsageError before any call."""
        reason = beyond_endpoints(decoding) or other_system(self._settings.system or None, decoding.system)
        if reason:
            raise UsageError(f"{self.spec}: {reason}")
        system = self._system
        if decoding.system:
            system = (Turn("system", (decoding.system,)),)
        requests: dict[int, ChatRequest] = {}
        for position, sample in enumerate(samples):
            try:
                turns = (*system, sample.turn)
                requests[position] = ChatRequest(turns, decoding.temperature, decoding.max_new_tokens)
            except ValueError as error:  # it marks the places of more images than it has
                yield position, Answer(None, f"this question cannot be asked: {error}")
        places = list(requests)
        before = time.perf_counter()
        for place, reply in self._client.ask(list(requests.values())):
            now = time.perf_counter()
            yield places[place], _answer(reply, now - before)
            before = time.perf_counter()


def beyond_endpoints(decoding: Decoding) -> str:
    """Why no OpenAI-compatible endpoint can decode so, with what to do; "" if it can."""
    if decoding.num_beams > 1:
        return (
            f"an OpenAI-compatible endpoint has no beam search, and num_beams={decoding.num_beams} is asked for; "
            "decode greedily with --set decoding.num_beams=1 (recorded with the figures), or run the model as hf:."
        )
    if decoding.pad_to_square:
        return "an endpoint prepares images itself, and the protocol pads them to a square; run the model as hf:."
    if decoding.repetition_penalty is not None:
        return (
            "the repetition penalty of an endpoint is set with --set model.extra_body={repetition_penalty: "
            f"{decoding.repetition_penalty:g}}}, where it has one."
        )
    if decoding.eos_bias:
        return (
            f"an OpenAI-compatible endpoint has no bias on the end of the sequence, and eos_bias={decoding.eos_bias:g} "
            "is asked for; run the model as hf:."
        )
    return ""


def _answer(reply: ChatReply, seconds: float) -> Answer:
    """The answer in ``reply``, without the space around it, like those of models that run here."""
    usage = reply.usage
    return Answer(
        None if reply.text is None else reply.text.strip(),
        reply.error,
        usage.get("completion_tokens", 0),
        seconds,
        cut=usage.get("finish_reason") == CUT,
        reasoning=usage.get("reasoning", ""),
        adapted=tuple(usage.get("adapted", ())),
    )
