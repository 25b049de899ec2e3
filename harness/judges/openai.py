"""The judge behind any OpenAI-compatible endpoint: ``openai:NAME[@BASE_URL]``."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.chat.client import ChatClient
from harness.chat.completion import same_model
from harness.chat.endpoint import parse_endpoint
from harness.chat.request import Caller, ChatRequest
from harness.chat.settings import ChatSettings
from harness.errors import Unreachable, UsageError
from harness.judges.registry import JUDGES
from harness.protocols.benchmark import JudgePrompt
from harness.protocols.conversation import Turn
from harness.protocols.judge import Judge, JudgeRequest, Reply

READY = "Are you ready to judge? Answer yes or no."
READY_TOKENS = 16
"""Some endpoints take no fewer."""


class OpenAIJudge(Judge):
    """A judge over HTTP: any OpenAI-compatible endpoint.

    Args:
        argument: ``NAME`` or ``NAME@BASE_URL``; without the URL ``$OPENAI_BASE_URL``, else OpenAI's own.
        root: not used.
        settings: how it is called.

    Raises UsageError for a bad argument, or a budget on a model without a price.
    """

    Settings = ChatSettings
    reads_data = False

    def __init__(self, argument: str, root: Path | None = None, settings: ChatSettings | None = None) -> None:
        settings = settings or ChatSettings()
        self.model, self.endpoint = parse_endpoint(argument, "--judge")
        self.name, self.concurrency = f"openai:{self.model}", settings.concurrency
        self.variant, self._probed = settings.variant, False
        self.client = ChatClient(
            self.model, self.endpoint, Caller("judge", f"--judge openai:{argument}", "judge."), settings
        )

    def ask(self, requests: Sequence[JudgeRequest]) -> Generator[tuple[int, Reply], None, None]:
        """Yield (position, reply) in order of arrival. Leaving the iteration cancels what is in flight."""
        for position, reply in self.client.ask(_Requests(requests)):
            yield position, Reply(reply.text, reply.model, reply.error, dict(reply.usage))

    def check(self) -> None:
        """Raise UsageError where it cannot be called: no key that belongs to it (``harness.chat.keys``)."""
        self.client.check()

    def probe(self) -> None:
        """Ask it one short question, once. Raises UsageError where it gives none, however long one waits."""
        if self._probed:
            return
        request = ChatRequest((Turn("user", (READY,)),), max_tokens=READY_TOKENS)
        ((_, reply),) = self.client.ask([request])
        self._probed = True
        if reply.outcome == "down":
            kind = UsageError if reply.status else Unreachable  # a status is what an endpoint says
            raise kind(
                f"{self.client.caller.option} gives no answer: {reply.error}. It was asked before the model, so that "
                "nothing is generated that could not be judged; --no-probe leaves this out."
            )
        if reply.outcome == "busy":
            warnings.warn(f"{self.client.caller.option} gives no answer now: {reply.error}", stacklevel=2)

    def recall(self, stored: Reply) -> Reply | None:
        """A stored reply as these settings take it: of the model asked for, or of another one where that is allowed.

        The text of a reply that was refused for its model was paid for and kept, so that allowing it later is free.
        """
        text = stored.usage.get("reply") if stored.text is None else stored.text
        if text is None or not (self.client.any_model or same_model(self.model, stored.model)):
            return None
        return Reply(str(text), stored.model, usage=stored.usage)

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        """USD for the tokens of ``usage``; None where the model has no price."""
        return self.client.cost(usage)

    @property
    def spent(self) -> float | None:
        """USD spent so far; None where the model has no price."""
        return self.client.account.spent


def chat_request(question: JudgePrompt) -> ChatRequest:
    """What is sent for ``question``."""
    system = () if question.system is None else (Turn("system", (question.system,)),)
    images = () if question.image is None else (question.image,)
    asked = Turn(question.role if question.system is None else "user", (*images, question.prompt))
    return ChatRequest((*system, asked), question.temperature, question.max_tokens, question.top_p)


class _Requests:
    """The chat requests of a judge's questions, made when they are sent: 100,000 are never in memory at once."""

    def __init__(self, requests: Sequence[JudgeRequest]) -> None:
        self._requests = requests

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[ChatRequest]:
        return (chat_request(request.question) for request in self._requests)


JUDGES.register("openai", OpenAIJudge)
