"""One chat completion call over HTTP: what can go wrong with it, and what follows from that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.chat.completion import Completion, Malformed, read, same_model
from harness.chat.dialect import refused_parameter
from harness.chat.request import Caller
from harness.chat.throttle import retry_after

if TYPE_CHECKING:  # importing openai takes a second
    import openai

PASSING = {408, 409, 425}
"""HTTP statuses below 500 that are worth another try; 429 has its own rule."""
HOPELESS = {401, 402, 404}
"""No key, no credit, no such model or path: no request will fare better."""


class Failure(Exception):
    """Why a call gave no reply, and what follows from it.

    Args:
        reason: for people.
        again: whether another try may help.
        stop: whether no other request will fare better, so that none is asked.
        limited: whether it was a rate limit, which concerns all calls.
        pause: seconds that the server asks to wait, if it does.
        usage: tokens it took nevertheless.
        model: the name the endpoint returned, if it did.
        text: the reply, if there was one that does not count.
        reasoning: the thoughts that came instead of a reply, ``finish`` why they ended.
        refused: the parameter that the endpoint does not take, where it can be sent another way.
        slow: whether there was no answer in time, as when too many calls are in flight.
        unauthorized: whether the endpoint wants a key, or another one.
        rejected: what an endpoint that does not take the request as it is says of it, whole.
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
        reasoning: str = "",
        finish: str = "",
        refused: str = "",
        slow: bool = False,
        unauthorized: bool = False,
        rejected: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason, self.again, self.stop = reason, again and not stop, stop
        self.limited, self.pause, self.usage = limited, pause, dict(usage or {})
        self.model, self.text, self.reasoning, self.finish = model, text, reasoning, finish
        self.refused, self.slow, self.unauthorized, self.rejected = refused, slow, unauthorized, rejected


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
    except (TimeoutError, openai.APITimeoutError):
        raise Failure(f"no answer within {timeout:g} s", slow=True) from None
    except openai.APIConnectionError as error:
        raise Failure(f"connection failed: {error.__cause__ or error!r}") from error
    except openai.APIStatusError as error:
        raise status_failure(error) from error
    except Malformed as error:
        raise Failure(str(error), usage=error.usage, model=error.model) from None


def accept(completion: Completion, asked: str, caller: Caller, allow_other_model: bool) -> None:
    """Raise Failure unless ``completion`` is a text of the model that was asked, and not only its thoughts."""
    model, usage, text = completion.model, completion.usage, completion.text
    if not allow_other_model and not same_model(asked, model):
        returned = f"model {model!r}" if model else "no model name"
        reason = f"asked for model {asked!r}, the endpoint returned {returned}"
        remedy = f"; name that model, or take its replies with {caller.setting('allow_other_model')}=true"
        raise Failure(reason + remedy, again=False, usage=usage, model=model, text=text or "")
    if text is None:
        raise Failure(f"the {caller.role} refused: {completion.refusal}", again=False, usage=usage, model=model)
    if completion.cut and not text.strip():
        # Asked again it would think as long and be paid for again.
        said = "cut inside its thoughts" if completion.reasoning else "cut before any text"
        reason = f"{said}: the {caller.role} used all tokens it may (finish reason {completion.finish_reason})"
        thoughts, finish = completion.reasoning, completion.finish_reason
        raise Failure(reason, again=False, usage=usage, model=model, reasoning=thoughts, finish=finish)


def status_failure(error: openai.APIStatusError) -> Failure:
    """What follows from an HTTP error status."""
    status, pause = error.status_code, retry_after(error.response.headers)
    said = _said(error)
    reason = f"HTTP {status}: {said[:200] or error.response.reason_phrase}"
    if status in (400, 422):
        refused, rejected = refused_parameter(status, said, error.param), f"{said} {error.param or ''}"
        return Failure(reason, again=False, refused=refused, rejected=rejected)
    if status == 429 and "insufficient_quota" in (error.code, error.type):
        return Failure(reason, stop=True)
    again = status == 429 or status in PASSING or status >= 500
    stop, limited = status in HOPELESS, status == 429
    return Failure(reason, again=again, stop=stop, limited=limited, pause=pause, unauthorized=status == 401)


def _said(error: openai.APIStatusError) -> str:
    message = None
    with contextlib.suppress(AttributeError):
        message = error.body.get("message")  # type: ignore[attr-defined]
    text = message if isinstance(message, str) else error.response.text
    return " ".join(text.encode(errors="replace").decode().split())
