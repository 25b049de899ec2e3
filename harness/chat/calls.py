"""One chat completion call over HTTP: what can go wrong with it, and what follows from that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from harness.chat.bounded import TooLong
from harness.chat.complaint import complaint
from harness.chat.completion import SHOWN, Completion, Malformed, read, same_model
from harness.chat.dialect import refused_parameter
from harness.chat.request import Caller, Outcome
from harness.chat.throttle import retry_after
from harness.protocols.ending import broken, may_pass
from harness.util.secrets import hide

if TYPE_CHECKING:  # importing openai takes a second
    import openai

PASSING = {408, 409, 425}
"""HTTP statuses below 500 that are worth another try."""
LIMITED = {429, 529}
"""Too many calls, and too many for the moment: not before some time, and fewer at once."""
HOPELESS = {401, 402, 404, 405}
"""No key, no credit, no such model or path: no request will fare better."""
QUOTA = {
    *("insufficient_quota", "billing_hard_limit_reached", "quota_exceeded"),
    *("exceeded_current_quota_error", "1113"),  # Moonshot, Zhipu
}
"""Codes of a 429 that no waiting helps against."""
LASTING = re.compile(
    r"per[- ]?day\b|perday|\bdaily\b|insufficient (?:account )?(?:balance|credits?|funds|quota)|余额不足|欠费", re.I
)
"""How a 429 that says no time to wait names a limit that lasts longer than any wait."""
SOON = re.compile(r"try again in [0-9.]+m?s\b", re.IGNORECASE)
"""How OpenAI's limits of a day, of which a part is free again every few seconds, say so where no header does."""
TOO_LARGE = re.compile(r"request (?:is )?too large", re.IGNORECASE)
"""How a 429 says that one request is more than a whole minute's tokens: it will never be taken."""
AT_CAPACITY = re.compile(r"\bloading\b|overloaded|(?:at|over) capacity|high demand", re.IGNORECASE)
"""How a 503 says that the model is not ready yet, or has too much to do: it is waited for as at a rate limit."""
OF_A_MODEL = re.compile(r"model|deployment |endpoints found", re.IGNORECASE)
"""What a 404 is about where the path is right."""
LONGEST_SAID = 20_000
"""Characters that are looked at for what was refused."""


class Failure(Exception):
    """Why a call gave no reply, and what follows from it.

    Args:
        reason: for people, without keys.
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
        status: the HTTP status, 0 where there was none.
        unpaid: whether the budget cannot bear the call.
        spoke: whether the model answered, with nothing that counts for a reply.
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
        status: int = 0,
        unpaid: bool = False,
        spoke: bool = False,
    ) -> None:
        reason = hide(reason)
        super().__init__(reason)
        self.reason, self.again, self.stop = reason, again and not stop, stop
        self.limited, self.pause, self.usage = limited, pause, dict(usage or {})
        self.model, self.text, self.reasoning, self.finish = model, text, reasoning, finish
        self.refused, self.slow, self.unauthorized, self.rejected = refused, slow, unauthorized, rejected
        self.status, self.unpaid, self.spoke = status, unpaid, spoke

    @property
    def outcome(self) -> Outcome:
        """What it says of the endpoint."""
        if self.unpaid:
            return "unpaid"
        if self.limited or self.slow or self.status in PASSING or self.status >= 500:
            return "busy"
        return "unusable" if self.spoke else "down"


async def call(client: openai.AsyncOpenAI, arguments: Mapping[str, Any], timeout: float) -> Completion:
    """The completion that the endpoint gives within ``timeout`` seconds; whatever else comes raises Failure.

    The body is read by ``harness.chat.completion``, since the client takes any JSON for a completion.
    """
    import httpx2
    import openai

    try:
        # The client's own timeout counts from byte to byte: an endpoint that drips would never meet it.
        # Azure would take a key behind "Bearer" for a token of its directory.
        unsent: Any = {"headers": {"Authorization": openai.Omit()}} if "api-version" in client.default_query else {}
        asking = client.post("/chat/completions", body=arguments, cast_to=httpx2.Response, options=unsent)
        async with asyncio.timeout(timeout):  # wait_for forgets a cancellation that comes with the answer (Python 3.11)
            content = (await asking).content
        return read(content, arguments.get("max_tokens") or arguments.get("max_completion_tokens"))
    except (TimeoutError, openai.APITimeoutError):
        raise Failure(f"no answer within {timeout:g} s", slow=True) from None
    except TooLong as error:
        raise Failure(str(error), again=False) from None
    except openai.APIConnectionError as error:
        cause = error.__cause__ or error
        raise Failure(f"connection failed: {(str(cause) or repr(cause))[:SHOWN]}") from error
    except openai.APIStatusError as error:
        raise status_failure(error) from error
    except openai.OpenAIError as error:  # what the client refuses by itself
        raise Failure(f"the client cannot make this call: {str(error)[:SHOWN]}", again=False) from error
    except Malformed as error:
        if error.status:
            reason = str(error) + _elsewhere(error.status, str(error), f"{client.base_url}chat/completions")
            raise followed(error.status, reason, usage=error.usage, model=error.model) from None
        raise Failure(str(error), usage=error.usage, model=error.model) from None


def accept(completion: Completion, asked: str, caller: Caller, allow_other_model: bool) -> None:
    """Raise Failure unless ``completion`` is a text of the model that was asked, and not only its thoughts."""
    model, usage, text = completion.model, completion.usage, completion.text
    if not allow_other_model and not same_model(asked, model):
        returned = f"model {model!r}" if model else "no model name"
        reason = f"asked for model {asked!r}, the endpoint returned {returned}"
        taken = f"take its replies with {caller.setting('allow_other_model')}=true"
        remedy = f"; name that model, or {taken}" if model else f"; {taken}"
        raise Failure(reason + remedy, again=False, usage=usage, model=model, text=text or "")
    if text is None:
        reason = f"the {caller.role} refused: {completion.refusal}"
        raise Failure(reason, again=False, usage=usage, model=model, spoke=True)
    if ended := broken(completion.finish_reason):
        again = may_pass(completion.finish_reason)
        raise Failure(f"the {caller.role}'s text {ended}", again=again, usage=usage, model=model, text=text)
    if not text.strip() and (completion.cut or completion.reasoning):
        # Asked again it would think as long and be paid for again.
        if completion.cut:
            said = "cut inside its thoughts" if completion.reasoning else "cut before any text"
            reason = f"{said}: the {caller.role} used all tokens it may (finish reason {completion.finish_reason})"
        else:
            reason = (
                f"the {caller.role} gave thoughts and no text: its server may take all of the text for thoughts (as "
                "vLLM's --reasoning-parser does where the model did not think)"
            )
        thoughts, finish = completion.reasoning, completion.finish_reason
        raise Failure(reason, again=False, usage=usage, model=model, reasoning=thoughts, finish=finish, spoke=True)


def status_failure(error: openai.APIStatusError) -> Failure:
    """What follows from an HTTP error status."""
    status, pause = error.status_code, retry_after(error.response.headers)
    said = _said(error)
    reason = f"HTTP {status}: {said[:SHOWN] or error.response.reason_phrase or _phrase(status)}"
    if 300 <= status < 400:
        to = error.response.headers.get("location", "another address")
        moved = f"HTTP {status}: it redirects to {to[:SHOWN]}, which is not followed: name that"
        return Failure(moved, stop=True, status=status)
    if status in (400, 422):
        refused, rejected = refused_parameter(status, said, error.param), f"{said} {error.param or ''}"
        return Failure(reason, again=False, refused=refused, rejected=rejected, status=status)
    if status == 429:
        whole = error.response.text[:LONGEST_SAID]
        lasting = pause is None and LASTING.search(whole) and not SOON.search(whole)
        if QUOTA & {str(error.code), str(error.type)} or lasting:
            return Failure(reason, stop=True, status=status)
        if TOO_LARGE.search(said):
            return Failure(reason, again=False, status=status)
    return followed(status, reason + _elsewhere(status, said, str(error.request.url)), pause=pause)


def _elsewhere(status: int, said: str, url: str) -> str:
    """What to look at where ``url`` is no path of the server; "" where it is another matter."""
    if status not in (404, 405) or OF_A_MODEL.search(said):
        return ""
    version = "" if re.search(r"/v[0-9]", url) else " Most end in /v1."
    return f" (asked at {url}: is the base URL right?{version})"


def _phrase(status: int) -> str:
    """The standard's words for ``status``, which HTTP/2 leaves out."""
    return HTTPStatus(status).phrase if status in {each.value for each in HTTPStatus} else "no reason given"


def followed(status: int, reason: str, **more: Any) -> Failure:
    """The failure of an HTTP error status, whoever reports it; ``more`` as of Failure."""
    limited = status in LIMITED or (status == 503 and AT_CAPACITY.search(reason) is not None)
    again = limited or status in PASSING or status >= 500
    stop, unauthorized = status in HOPELESS, status == 401
    return Failure(reason, again=again, stop=stop, limited=limited, unauthorized=unauthorized, status=status, **more)


def _said(error: openai.APIStatusError) -> str:
    text = complaint(error.body) or error.response.text
    return hide(" ".join(text[:LONGEST_SAID].encode(errors="replace").decode().split()))
