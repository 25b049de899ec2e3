"""One judge call over HTTP: what can go wrong, what it costs, when the rest is not worth asking."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.chat.completion import Completion, Malformed, read, same_model
from harness.chat.prices import Price, cost
from harness.chat.throttle import retry_after
from harness.errors import UsageError

if TYPE_CHECKING:  # importing openai takes a second
    import openai

PASSING = {408, 409, 425}
"""HTTP statuses below 500 that are worth another try; 429 has its own rule."""
HOPELESS = {401, 402, 404}
"""No key, no credit, no such model or path: no question will fare better."""


@dataclass(frozen=True)
class JudgeSettings:
    """How the endpoint is called. None of it changes what is asked.

    Args:
        concurrency: most calls in flight; fewer after HTTP 429.
        timeout: seconds for one call, from sending to the last byte.
        tries: calls for one question before it is given up; what fails in passing is tried again
            (connection, timeout, HTTP 408, 409, 425 and 5xx, a body that is no completion).
        waits: how often one question may meet HTTP 429, which counts apart from ``tries``.
        first_wait, longest_wait: seconds, of the doubling wait between tries.
        longest_pause: seconds; a Retry-After is honoured as it comes up to this, a longer one ends the asking.
        give_up: questions given up in a row, with no success between, after which the rest is not asked.
        allow_other_model: take replies of a model that is not the one asked for.
        budget: USD that one judge object may spend; None is no limit.
        prices: a YAML file over the built-in price table, "" for none.
    """

    concurrency: int = 64
    timeout: float = 60.0
    tries: int = 4
    waits: int = 30
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_pause: float = 300.0
    give_up: int = 32
    allow_other_model: bool = False
    budget: float | None = None
    prices: str = ""

    def __post_init__(self) -> None:
        for name in ("concurrency", "timeout", "tries", "waits", "give_up"):
            if not getattr(self, name) > 0:
                raise UsageError(f"judge openai: {name}={getattr(self, name)}: expected more than 0.")
        for name in ("first_wait", "longest_wait", "longest_pause", "budget"):
            if not (getattr(self, name) or 0) >= 0:
                raise UsageError(f"judge openai: {name}={getattr(self, name)}: expected 0 or more.")


class Failure(Exception):
    """Why a call gave no reply, and what follows from it.

    Args:
        reason: for people.
        again: whether another try may help.
        stop: whether no other question will fare better, so that none is asked.
        limited: whether it was a rate limit, which concerns all calls.
        pause: seconds that the server asks to wait, if it does.
        usage: tokens it took nevertheless.
        model: the name the endpoint returned, if it did.
        text: the reply, if there was one that does not count.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = True,
        stop: bool = False,
        limited: bool = False,
        pause: float | None = None,
        usage: Mapping[str, int] | None = None,
        model: str = "",
        text: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason, self.again, self.stop = reason, again and not stop, stop
        self.limited, self.pause, self.usage = limited, pause, dict(usage or {})
        self.model, self.text = model, text


class Account:
    """Money spent and promised, and whether to go on.

    ``stopped`` is the reason why nothing more is asked, "" while asking goes on.
    """

    def __init__(self, model: str, prices: Mapping[str, Price], budget: float | None, give_up: int) -> None:
        self.tokens: dict[str, int] = {"prompt_tokens": 0, "completion_tokens": 0}
        self.stopped = ""
        self._model, self._prices, self._budget, self._give_up = model, prices, budget, give_up
        self._promised, self._promises = 0.0, 0
        self._failed_in_a_row = 0

    def restart(self) -> None:
        """Other questions begin: what stopped earlier ones need not stop these. Money spent stays spent."""
        self.stopped, self._failed_in_a_row = "", 0

    @property
    def spent(self) -> float | None:
        """USD; None where the model has no price."""
        return cost(self.tokens, self._model, self._prices)

    async def reserve(self, usage: Mapping[str, int]) -> float:
        """Set aside what a call of ``usage`` may cost; returns it.

        Raises Failure when the asking was stopped, or stops now because the budget cannot bear the call. It waits
        for calls in flight first: they may turn out cheaper than what was set aside for them.
        """
        if self.stopped:
            raise Failure(self.stopped, again=False)
        if self._budget is None:
            return 0.0
        price = cost(usage, self._model, self._prices) or 0.0
        while (self.spent or 0.0) + self._promised + price > self._budget:
            if self._promises == 0:
                reason = (
                    f"budget: ${self.spent or 0:.4f} of ${self._budget:g} spent, the next call may take ${price:.4f}"
                )
                raise Failure(reason, stop=True)
            await asyncio.sleep(0.01)
        if price:
            self._promised, self._promises = self._promised + price, self._promises + 1
        return price

    def release(self, promised: float) -> None:
        """Take back what ``reserve`` set aside: the call is over."""
        if promised:
            self._promised, self._promises = self._promised - promised, self._promises - 1

    def book(self, usage: Mapping[str, int]) -> None:
        """Count the tokens of a call."""
        for name in self.tokens:
            self.tokens[name] += usage.get(name, 0)

    def succeeded(self) -> None:
        self._failed_in_a_row = 0

    def failed(self, failure: Failure) -> None:
        """A question was given up; too many in a row, or a hopeless one, stop the asking."""
        self._failed_in_a_row += 1
        if failure.stop:
            self.stopped = self.stopped or failure.reason
        elif self._failed_in_a_row >= self._give_up:
            self.stopped = self.stopped or f"not asked: {self._failed_in_a_row} in a row failed, last: {failure.reason}"


async def call(client: openai.AsyncOpenAI, arguments: Mapping[str, Any], timeout: float) -> Completion:
    """The completion that the endpoint gives within ``timeout`` seconds; whatever else comes raises Failure.

    The body is read by ``harness.chat.completion``, since the client takes any JSON for a completion.
    """
    import httpx2
    import openai

    try:
        # The client's own timeout counts from byte to byte: an endpoint that drips would never meet it.
        asking = client.post("/chat/completions", body=arguments, cast_to=httpx2.Response)
        return read((await asyncio.wait_for(asking, timeout)).content)
    except (asyncio.TimeoutError, openai.APITimeoutError):
        raise Failure(f"no answer within {timeout:g} s") from None
    except openai.APIConnectionError as error:
        raise Failure(f"connection failed: {error.__cause__ or error!r}") from error
    except openai.APIStatusError as error:
        raise status_failure(error) from error
    except Malformed as error:
        raise Failure(str(error), usage=error.usage, model=error.model) from None


def accept(completion: Completion, asked: str, allow_other_model: bool) -> None:
    """Raise Failure unless ``completion`` is a text of the model that was asked."""
    model, usage, text = completion.model, completion.usage, completion.text
    if not allow_other_model and not same_model(asked, model):
        returned = f"model {model!r}" if model else "no model name"
        reason = f"asked for model {asked!r}, the endpoint returned {returned}"
        remedy = "; name that model, or set allow_other_model=true to take its replies"
        raise Failure(reason + remedy, again=False, usage=usage, model=model, text=text or "")
    if text is None:
        raise Failure(f"the judge refused: {completion.refusal}", again=False, usage=usage, model=model)


def status_failure(error: openai.APIStatusError) -> Failure:
    """What follows from an HTTP error status."""
    status, pause = error.status_code, retry_after(error.response.headers)
    reason = f"HTTP {status}: {_said(error)}"
    if status == 429 and "insufficient_quota" in (error.code, error.type):
        return Failure(reason, stop=True)
    again = status == 429 or status in PASSING or status >= 500
    return Failure(reason, again=again, stop=status in HOPELESS, limited=status == 429, pause=pause)


def _said(error: openai.APIStatusError) -> str:
    message = None
    with contextlib.suppress(AttributeError):
        message = error.body.get("message")  # type: ignore[attr-defined]
    text = message if isinstance(message, str) else error.response.text
    return " ".join(text.encode(errors="replace").decode().split())[:200] or error.response.reason_phrase
