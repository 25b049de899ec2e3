"""How an endpoint is called: the settings that judges and models behind one share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from harness.util.ranges import above, at_least
from harness.util.secrets import secrets_in

SENT = frozenset({"stream", "stream_options"})
"""Fields of a call that say how the reply comes, and not what it is."""
OWN = frozenset({"model", "messages", "n"})
"""Fields of a call that are not the user's to set: what is asked, and how the reply is read, depend on them."""


@dataclass(frozen=True)
class ChatSettings:
    """How the endpoint is called (`--set judge.KEY=VALUE`, `--set model.KEY=VALUE`).

    None of it changes what is asked but ``extra_body``, which is part of the keys of replies and answers, apart from
    ``stream``.

    Args:
        api_key_env: the environment variable that holds this endpoint's key; "" for ``OPENAI_API_KEY`` where the
            endpoint is OpenAI's (or ``OPENAI_BASE_URL``'s) and none on this machine or network; "none" for no key.
        extra_body: fields of the call's JSON body beside or instead of its own, ``{reasoning_effort: low}``,
            ``{add_special_tokens: true}``, ``{stream: true}``; one that is null is not sent (``{temperature: null}``).
        concurrency: most calls in flight; fewer after HTTP 429 and after answers that do not come in time.
        timeout: of one call, from sending to the last byte.
        tries: calls for one request before it is given up; what fails in passing is tried again
            (connection, timeout, HTTP 408, 409, 425 and 5xx, a body that is no completion).
        waits: how often one request may meet HTTP 429, which counts apart from ``tries``. Twice as often with no
            success between, and for as many of the longest waits, ends the asking.
        first_wait: the wait before the second try; every further one is twice as long.
        longest_wait: what the doubling stops at.
        longest_pause: a Retry-After is honoured as it comes up to this, a longer one ends the asking.
        give_up: requests given up in a row, with no success between, after which the rest is not asked.
        allow_other_model: take replies of a model that is not the one asked for.
        budget: what one client may spend; None is no limit.
        prices: a YAML file over the built-in price table, "" for none.
    """

    concurrency: Annotated[int, at_least(1, "calls")] = 64
    timeout: Annotated[float, above(0, "seconds")] = 60.0
    tries: Annotated[int, at_least(1, "calls")] = 4
    waits: Annotated[int, at_least(1)] = 30
    first_wait: Annotated[float, at_least(0, "seconds")] = 0.5
    longest_wait: Annotated[float, at_least(0, "seconds")] = 30.0
    longest_pause: Annotated[float, at_least(0, "seconds")] = 300.0
    give_up: Annotated[int, at_least(1, "requests")] = 32
    allow_other_model: bool = False
    budget: Annotated[float, at_least(0, "USD")] | None = None
    prices: str = ""
    api_key_env: str = ""
    extra_body: dict | None = None  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        if own := OWN & (self.extra_body or {}).keys():
            raise ValueError(f"extra_body: {', '.join(sorted(own))} cannot be set there")
        if secrets := sorted(secrets_in(self.extra_body)):
            raise ValueError(
                f"extra_body: {', '.join(secrets)} holds a key, and settings are stored; name the environment variable "
                "that holds it with api_key_env=NAME"
            )

    @property
    def asked(self) -> dict[str, Any]:
        """What of ``extra_body`` changes what is asked, and not how it is sent."""
        return {name: value for name, value in (self.extra_body or {}).items() if name not in SENT}

    @property
    def variant(self) -> str:
        """The same as people read it; "" where nothing does."""
        return json.dumps(self.asked, sort_keys=True) if self.asked else ""


@dataclass(frozen=True)
class ServedSettings(ChatSettings):
    """How a served model is called (`--set model.KEY=VALUE`): ``ChatSettings``, and

    Args:
        system: a system message before every question; "" for none. Part of the model's key, like ``extra_body``.
        processor: directory or hub id of the model's processor, with whose prompt the endpoint's is compared; "" for
            the model's name, where that is a directory or a model of the hub's cache.
    """

    system: str = ""
    processor: str = ""
