"""What an endpoint does not take as it is asked, learned from its refusals once and kept to from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.chat.request import ChatRequest
from harness.chat.settings import OWN

UNSUPPORTED = re.compile(
    r"unsupported|not support|only the default|deprecated|cannot both be specified|only \S+ is allowed"
    r"|strictly positive|please use max_completion_tokens"
)
"""How endpoints refuse a parameter or its value. One that calls a value too large, or a prompt too long, does not."""
UNKNOWN = re.compile(r"unrecognized|unknown|extra inputs are not permitted|extra_forbidden|unexpected keyword")
"""How they refuse a parameter that they have never heard of, whatever its value."""
NO_SYSTEM = re.compile(
    r"system (role|message|prompt)s? (is |are )?(not supported|unsupported)|not support (a |the )?['\"`]?system"
)
"""How chat templates refuse a system message: Gemma's, Mistral's first."""
STREAMED = re.compile(r"only supports? (?:the )?stream|enable the stream parameter|streaming is required")
"""How they say that they answer in a stream alone: DashScope's QwQ and QVQ."""
WANTED = re.compile(r"\b(\w+) must be (?:set to )?(true|false)\b", re.IGNORECASE)
"""How they ask for a field that they were not sent: DashScope's ``enable_thinking``."""
RENAMED = {"max_tokens": "max_completion_tokens"}
"""Parameters with a younger name: OpenAI's reasoning models take no other."""
MOST_CHARACTERS = 8
"""To a token of a prompt: prose has four or five."""
CUT_FROM = 512
"""Tokens of a prompt from which their number says something: no server's context is as short."""
LEFT_OUT = ("temperature", "top_p")
"""Parameters that an endpoint may insist to choose itself."""


def refused_parameter(status: int, message: str, parameter: object) -> str:
    """The parameter that an HTTP error of ``message`` is about, "" if it is none that can be sent another way.

    ``parameter`` is what the error itself names, if it does: of OpenAI's error objects the ``param``.
    """
    said = _plain(message)
    unknown = UNKNOWN.search(said) is not None
    if status not in (400, 422) or not (unknown or UNSUPPORTED.search(said)):
        return ""
    known = [*(old for old, new in RENAMED.items() if unknown or new in said), *LEFT_OUT]
    if isinstance(parameter, str) and parameter in known:
        return parameter
    return next((name for name in known if _names(said, name) or _names(said, RENAMED.get(name, name))), "")


def remedy_of(message: str, sent: Mapping[str, Any], setting: str) -> str:
    """What to do about a refusal of ``message`` that nothing was learned from; "" if it is about nothing in ``sent``.

    ``setting`` is the caller's ``extra_body`` as it is typed.
    """
    said, messages = _plain(message), sent.get("messages") or [{}]
    if messages[0].get("role") == "system" and NO_SYSTEM.search(said):
        ours = " (leave model.system out)" if "model." in setting else ""
        return f"; its chat template takes no system message: ask without{ours} or serve it with one that does"
    wanted = WANTED.search(message)
    if STREAMED.search(said):
        return f"; its stream is asked for with {setting}='{{stream: true}}'"
    if wanted and wanted[1] not in OWN:
        return f"; it is sent with {setting}='{{{wanted[1]}: {wanted[2].lower()}}}'"
    fields = (name for name in sent if name not in ("model", "messages"))
    name = next((name for name in fields if _names(said, name)), "")
    return f"; {name} is left out with {setting}='{{{name}: null}}'" if name else ""


def _plain(message: str) -> str:
    """``message`` in lower case, names as they are sent: MaxTokens is max_tokens."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", message).lower()


def _names(message: str, parameter: str) -> bool:
    return re.search(rf"\b{parameter}\b", message, re.ASCII) is not None  # 参数 may follow it without a blank


def prompt_notes(request: ChatRequest, counted: int) -> list[str]:
    """What is to be said of a prompt that the endpoint counts fewer tokens of than it has: Ollama leaves out what is
    beyond its context, which the reply does not say."""
    characters = sum(len(turn.text) for turn in request.messages)
    if counted < CUT_FROM or characters <= MOST_CHARACTERS * counted:
        return []
    return [
        "the endpoint counts fewer tokens of long prompts than they have, so it seems to cut them; give it a longer "
        "context (Ollama: OLLAMA_CONTEXT_LENGTH)"
    ]


class Dialect:
    """How one endpoint is spoken to: what it refused is sent by its younger name, or not at all."""

    def __init__(self) -> None:
        self._refused: dict[str, Any] = {}

    def learn(self, parameter: str, sent: Mapping[str, Any]) -> bool:
        """Note that ``parameter`` was refused; whether it stood in what was ``sent``, so that leaving it may help."""
        if parameter not in sent:
            return False
        self._refused.setdefault(parameter, sent[parameter])
        return True

    def spoken(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """``arguments`` as the endpoint takes them."""
        kept = {name: value for name, value in arguments.items() if name not in self._refused}
        for old, new in RENAMED.items():
            if old in self._refused and old in arguments:
                kept.setdefault(new, arguments[old])
        return kept

    @property
    def notes(self) -> list[str]:
        """What is not sent as asked, in words."""
        renamed = [f"{old} is sent as {new}" for old, new in RENAMED.items() if old in self._refused]
        left = [f"{n} is left to the endpoint, which refuses {v:g}" for n, v in self._refused.items() if n in LEFT_OUT]
        return [*renamed, *left]
