"""A chat request and its reply, as every caller of an endpoint knows them: judges, models, splitters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.protocols.conversation import Turn


@dataclass(frozen=True)
class ChatRequest:
    """What is asked: the turns so far and the decoding. Limits that are None are left to the endpoint.

    ``return_ids`` asks for the prompt's tokens too, which vLLM gives, others ignore, and strict ones refuse.
    """

    messages: tuple[Turn, ...]
    temperature: float = 0.0
    max_tokens: int | None = None
    top_p: float | None = None
    return_ids: bool = False


Outcome = Literal["answered", "unusable", "busy", "unpaid", "down"]
"""Of a request: a reply; an answer that does not count for one (refused, cut inside its thoughts); no answer for the
moment (too many calls, too slow, 5xx); not asked for want of money; and no answer, however long one waits."""


@dataclass(frozen=True)
class ChatReply:
    """The reply's text, or why there is none. ``model`` is the name that the endpoint returned.

    ``usage`` holds the tokens of all tries (``prompt_tokens``, ``completion_tokens``); ``estimated`` where the endpoint
    counts none; ``finish_reason`` unless it is "stop"; ``reply`` is a text that was paid for and does not count;
    ``reasoning`` the thoughts that the endpoint gave apart from the text; ``adapted`` says what was not sent as asked.
    ``prompt_ids`` are the prompt's tokens, where they were asked for and given. ``outcome`` and ``status`` (HTTP's, 0
    for none) say what became of the last try.
    """

    text: str | None
    model: str
    error: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    prompt_ids: tuple[int, ...] = ()
    outcome: Outcome = "answered"
    status: int = 0


@dataclass(frozen=True)
class Caller:
    """Who asks, in the words of the user: messages name what was typed.

    Args:
        role: what answers: "judge", "model", "splitter".
        option: what names it on the command line: "--judge openai:gpt-4o".
        prefix: what stands before its settings after `--set`: "judge.", "splitter_"; "" where it has none.
    """

    role: str
    option: str
    prefix: str = ""

    def setting(self, name: str) -> str:
        """How the user sets it: "--set judge.timeout"."""
        return f"--set {self.prefix}{name}"
