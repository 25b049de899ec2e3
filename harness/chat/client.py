"""The client of any OpenAI-compatible endpoint: many requests at once, with retries, a throttle and accounts."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from harness.chat.account import Account
from harness.chat.bounded import bounded_client
from harness.chat.calls import Failure, accept, call
from harness.chat.completion import Completion, body
from harness.chat.dialect import Dialect, prompt_notes, remedy_of
from harness.chat.endpoint import api_version, is_private, names_deployment
from harness.chat.keys import NO_KEY, check_environment, foreign_headers, key_for, proxy_for
from harness.chat.prices import Price, cost, estimate_tokens, load_prices, price_of
from harness.chat.request import Caller, ChatReply, ChatRequest
from harness.chat.settings import ChatSettings
from harness.chat.throttle import Throttle, backoff
from harness.errors import UsageError

if TYPE_CHECKING:  # importing openai takes a second
    import openai

WORKERS_PER_POOL = 8
"""A connection pool looks at all its connections for every call: with 64 that takes a third of a call's time."""
Arrived = SimpleQueue[tuple[int, ChatReply] | None]
"""Replies on their way from the calls' thread to the caller; None is the last."""


class Requests(Protocol):
    """Requests that may be made one by one, as they are sent: a list, or something lazier."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ChatRequest]: ...


class ChatClient:
    """Asks one model behind one endpoint through the `openai` client.

    Args:
        model: its name at the endpoint.
        url: the endpoint's base URL.
        caller: who asks, for messages.
        settings: retries, throttle, budget.

    Money and tokens are in ``account``; what the endpoint does not take as asked is in ``dialect``; ``any_model`` says
    whether replies of a model of another name count. Raises UsageError for a budget on a model without a price;
    ``check`` and ``ask`` do so for a missing key (``harness.chat.keys``).
    """

    def __init__(self, model: str, url: str, caller: Caller, settings: ChatSettings) -> None:
        self.model, self.url, self.caller, self.settings = model, url, caller, settings
        self.dialect = Dialect()
        self._key = ""
        self.any_model = settings.allow_other_model or names_deployment(model, url)
        self.prices = load_prices(Path(settings.prices) if settings.prices else None)
        if is_private(url) and price_of(model, self.prices) is None:
            self.prices[model] = Price(0.0, 0.0)
        if settings.budget is not None and price_of(model, self.prices) is None:
            raise UsageError(
                f"{caller.option}: a budget needs the price of {model}: put `{model}: {{input: X, output: Y}}` (USD "
                f"per million tokens) into a YAML file and name it with {caller.setting('prices')}=FILE."
            )
        self.account = Account(model, self.prices, settings.budget, settings.give_up)

    def check(self) -> None:
        """Raise UsageError where no call can be made: for want of a key, or by what the environment says."""
        self._key = key_for(self.url, self.settings.api_key_env, self.caller)
        check_environment(self.url, self.caller)

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        """USD for the tokens of ``usage``; None where the model has no price."""
        return cost(usage, self.model, self.prices)

    def ask(self, requests: Requests) -> Generator[tuple[int, ChatReply], None, None]:
        """Yield (position, reply) in order of arrival. Leaving the iteration cancels what is in flight.

        The calls run in an event loop in a thread of its own, so that they run while the caller stores a reply.
        """
        if not len(requests):
            return
        self.check()
        self.account.restart()
        arrived: Arrived = SimpleQueue()
        loop = asyncio.new_event_loop()
        asking = loop.create_task(self._ask_all(requests, arrived))
        thread = threading.Thread(target=_run, args=(loop, asking, arrived), name="chat", daemon=True)
        thread.start()
        try:
            while (item := arrived.get()) is not None:
                yield item
            asking.result()  # raises what ended the asking, if something did
        finally:
            loop.call_soon_threadsafe(asking.cancel)
            thread.join()
            loop.close()

    async def _ask_all(self, requests: Requests, arrived: Arrived) -> None:
        todo = iter(enumerate(requests))
        throttle = Throttle(self.settings.concurrency)

        async def work(client: openai.AsyncOpenAI) -> None:
            for position, request in todo:
                arrived.put((position, await self._answer(client, throttle, request)))
                while arrived.qsize() > 2 * self.settings.concurrency:  # the caller is slower than the endpoint
                    await asyncio.sleep(0.002)

        many = min(self.settings.concurrency, len(requests))
        async with contextlib.AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(client) for client in self._clients(-(-many // WORKERS_PER_POOL))
            ]
            workers = [asyncio.create_task(work(clients[i % len(clients)])) for i in range(many)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                await asyncio.gather(*workers, return_exceptions=True)

    def _clients(self, many: int) -> Iterator[openai.AsyncOpenAI]:
        """``many`` clients, each with a connection pool of its own."""
        import openai

        foreign = foreign_headers(self.url, self.settings.api_key_env)
        left_out: dict[str, Any] = {name: openai.Omit() for name in foreign if name.lower() != "authorization"}
        headers = {**left_out, "Authorization": f"Bearer {self._key}"} if foreign else {}
        version = api_version(self.url)
        if version:
            headers = {**left_out, "api-key": self._key}
        # Loading the certificates takes as long as ten calls; without TLS an empty store will do.
        plain = self.url.startswith("http://")
        for _ in range(many):
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True
            http = bounded_client(proxy_for(self.url), verify)
            yield openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self.url.partition("?")[0],
                default_query={"api-version": version} if version else None,
                max_retries=0,
                timeout=self.settings.timeout,
                default_headers=headers,
                http_client=http,
            )

    async def _answer(self, client: openai.AsyncOpenAI, throttle: Throttle, request: ChatRequest) -> ChatReply:
        """The reply to one request, after as many tries as it takes and the settings allow."""
        try:
            arguments = await self._body(request)
        except (OSError, ValueError) as error:  # a file that is not there, and one that cannot be decoded
            return ChatReply(None, "", error=f"the image cannot be read: {error}", outcome="unusable")
        extra = self.settings.extra_body or {}
        arguments = {n: v for n, v in {**arguments, **extra}.items() if v is not None or n not in extra}
        expected = estimate_tokens(request)
        tries = waits = 0
        lost: dict[str, int] = {}  # tokens of tries that gave no reply
        while True:
            sent = self.dialect.spoken(arguments)
            try:
                completion = await self._call(client, throttle, sent, expected, waits + 1)
            except Failure as failure:
                if failure.refused and self.dialect.learn(failure.refused, sent):
                    continue
                waits, tries = waits + failure.limited, tries + (not failure.limited)
                lost = _sum(lost, failure.usage)
                if failure.again and self._may_retry(tries, waits):
                    if not failure.limited:  # after a rate limit the throttle makes all wait
                        await asyncio.sleep(self._wait(tries) if failure.pause is None else failure.pause)
                    continue
                self.account.failed(failure)
                return self._failed(failure, tries + waits, lost, sent)
            self.account.succeeded()
            return self._replied(request, completion, expected, lost)

    async def _body(self, request: ChatRequest) -> dict[str, Any]:
        """What is sent; images are opened meanwhile, so that no call in flight waits for that."""
        if any(turn.images for turn in request.messages):
            return await asyncio.to_thread(body, request, self.model)
        return body(request, self.model)

    def _failed(self, failure: Failure, calls: int, lost: Mapping[str, int], sent: Mapping[str, Any]) -> ChatReply:
        """Why there is no reply after so many ``calls``."""
        reason = failure.reason + (f" (asked {calls} times)" if calls > 1 else "") + self._remedy(failure, sent)
        # Paid for: kept, though it counts for nothing.
        unused = {"reply": failure.text, "reasoning": failure.reasoning, "finish_reason": failure.finish}
        usage = {**lost, **{name: text for name, text in unused.items() if text}}
        if failure.unpaid:
            usage["unpaid"] = True
        return ChatReply(None, failure.model, reason, usage, outcome=failure.outcome, status=failure.status)

    def _remedy(self, failure: Failure, sent: Mapping[str, Any]) -> str:
        """What the user can set against a failure that lasts, where there is something; "" where the role has none."""
        if failure.unauthorized and self._key == NO_KEY and self.caller.prefix:
            return f"; name the variable that holds its key with {self.caller.setting('api_key_env')}=NAME"
        if not self.caller.prefix.endswith("."):
            return ""
        if failure.rejected:
            extra = self.settings.extra_body or {}
            ours = {name: value for name, value in sent.items() if name not in extra}
            return remedy_of(failure.rejected, ours, self.caller.setting("extra_body"))
        if failure.finish:
            more = "decoding.max_new_tokens=N" if self.caller.role == "model" else "judge.extra_body={max_tokens: N}"
            return f"; allow it more with --set {more}"
        if failure.slow:
            fewer, longer = self.caller.setting("concurrency"), self.caller.setting("timeout")
            return f"; a slow server needs fewer calls at once ({fewer}=1) or more time ({longer}=SECONDS)"
        return ""

    def _replied(
        self, request: ChatRequest, completion: Completion, expected: Mapping[str, int], lost: Mapping[str, int]
    ) -> ChatReply:
        usage: dict[str, Any] = _sum(lost, completion.usage or expected)
        if not completion.usage:
            usage["estimated"] = True
        if completion.finish_reason:
            usage["finish_reason"] = completion.finish_reason
        if completion.reasoning:
            usage["reasoning"] = completion.reasoning
        if notes := [*self.dialect.notes, *prompt_notes(request, completion.usage.get("prompt_tokens", 0))]:
            usage["adapted"] = notes
        return ChatReply(completion.text, completion.model, usage=usage, prompt_ids=completion.prompt_ids)

    async def _call(
        self,
        client: openai.AsyncOpenAI,
        throttle: Throttle,
        arguments: Mapping[str, Any],
        expected: Mapping[str, int],
        wait: int,
    ) -> Completion:
        """One call through the throttle and the accounts; raises Failure where there is no acceptable reply."""
        entered = await throttle.enter()
        promised = 0.0
        try:
            promised = await self.account.reserve(expected)
            completion = await call(client, arguments, self.settings.timeout)
            throttle.succeeded()
            accept(completion, self.model, self.caller, self.any_model)
        except Failure as failure:
            self.account.book(failure.usage)
            if (failure.pause or 0) > self.settings.longest_pause:
                raise Failure(f"{failure.reason}; asked to wait {failure.pause:g} s", stop=True) from failure
            if failure.limited:
                throttle.rate_limited(entered, self._wait(wait) if failure.pause is None else failure.pause)
                if self._hopeless(throttle):
                    reason = f"{failure.reason}; {throttle.limits} times in a row, whatever was asked"
                    raise Failure(reason, stop=True, status=failure.status) from failure
            if failure.slow:
                throttle.narrow(entered)
            raise
        finally:
            self.account.release(promised)
            throttle.leave()
        self.account.book(completion.usage or expected)  # an endpoint that counts no tokens is charged the estimate
        return completion

    def _may_retry(self, tries: int, waits: int) -> bool:
        return tries < self.settings.tries and waits < self.settings.waits and not self.account.stopped

    def _hopeless(self, throttle: Throttle) -> bool:
        """Whether a rate limit has lasted so long for all requests that each need not wait as long for itself."""
        long = self.settings.waits * self.settings.longest_wait
        return throttle.limits >= 2 * self.settings.waits and throttle.limited_for >= long

    def _wait(self, failures: int) -> float:
        return backoff(failures, self.settings.first_wait, self.settings.longest_wait)


def _sum(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, Any]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in (*a, *(n for n in b if n not in a))}


def _run(loop: asyncio.AbstractEventLoop, asking: asyncio.Task[None], arrived: Arrived) -> None:
    """The calls' thread: until all is asked, or the asking is cancelled or fails."""
    try:
        loop.run_until_complete(asyncio.wait([asking]))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())  # its threads looked up addresses
    finally:
        arrived.put(None)
