"""The judge behind any OpenAI-compatible endpoint: ``openai:NAME[@BASE_URL]``."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import ssl
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.chat.calls import Account, Failure, JudgeSettings, accept, call
from harness.chat.completion import Completion, body, same_model
from harness.chat.prices import Price, cost, estimate, load_prices, price_of
from harness.chat.throttle import Throttle, backoff
from harness.errors import UsageError
from harness.judges.registry import JUDGES
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.util.options import build

if TYPE_CHECKING:  # importing openai takes a second
    import openai

OPENAI_URL = "https://api.openai.com/v1"
WORKERS_PER_POOL = 8
"""A connection pool looks at all its connections for every call: with 64 that takes a third of a call's time."""
Arrived = SimpleQueue[tuple[int, Reply] | None]
"""Replies on their way from the calls' thread to the caller; None is the last."""


class OpenAIJudge(Judge):
    """A judge over HTTP through the `openai` client, with our own retries, throttle and accounts.

    Args:
        argument: ``NAME`` or ``NAME@BASE_URL``; without the URL ``$OPENAI_BASE_URL``, else OpenAI's own.
        root: not used.
        settings: the values of JudgeSettings that differ from its defaults.

    The key is ``$OPENAI_API_KEY``; only a loopback endpoint does without one. Money and tokens are in ``account``.
    Raises UsageError for a bad argument or setting, a missing key, or a budget on a model without a price.
    """

    def __init__(
        self, argument: str, root: Path | None = None, settings: Mapping[str, Any] | JudgeSettings | None = None
    ) -> None:
        if not isinstance(settings, JudgeSettings):
            settings = build(JudgeSettings, settings or {}, "judge openai")
        self.settings = settings
        self.model, self.endpoint = parse_argument(argument)
        self.name = f"openai:{self.model}"
        self.concurrency = settings.concurrency
        self._loopback = is_loopback(self.endpoint)
        self._key = os.environ.get("OPENAI_API_KEY") or ("none" if self._loopback else "")
        if not self._key:
            raise UsageError(f"--judge openai:{argument}: set OPENAI_API_KEY to the key for {self.endpoint}.")
        self.prices = load_prices(Path(settings.prices) if settings.prices else None)
        if self._loopback and price_of(self.model, self.prices) is None:
            self.prices[self.model] = Price(0.0, 0.0)
        if settings.budget is not None and price_of(self.model, self.prices) is None:
            raise UsageError(
                f"A budget needs the price of {self.model}: put `{self.model}: {{input: X, output: Y}}` (USD per "
                "million tokens) into a YAML file and name it in the judge's setting `prices`."
            )
        self.account = Account(self.model, self.prices, settings.budget, settings.give_up)

    def recall(self, stored: Reply) -> Reply | None:
        """A stored reply as these settings take it: of the model asked for, or of another one where that is allowed.

        The text of a reply that was refused for its model was paid for and kept, so that allowing it later is free.
        """
        text = stored.usage.get("reply") if stored.text is None else stored.text
        if text is None or not (self.settings.allow_other_model or same_model(self.model, stored.model)):
            return None
        return Reply(str(text), stored.model, usage=stored.usage)

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        """USD for the tokens of ``usage``; None where the model has no price."""
        return cost(usage, self.model, self.prices)

    @property
    def spent(self) -> float | None:
        """USD spent so far; None where the model has no price."""
        return self.account.spent

    def ask(self, requests: Sequence[JudgeRequest]) -> Generator[tuple[int, Reply], None, None]:
        """Yield (position, reply) in order of arrival. Leaving the iteration cancels what is in flight.

        The calls run in an event loop in a thread of its own, so that they go on while the caller stores a reply.
        """
        if not requests:
            return
        self.account.restart()
        arrived: Arrived = SimpleQueue()
        loop = asyncio.new_event_loop()
        asking = loop.create_task(self._ask_all(requests, arrived))
        thread = threading.Thread(target=_run, args=(loop, asking, arrived), name="judge", daemon=True)
        thread.start()
        try:
            while (item := arrived.get()) is not None:
                yield item
            asking.result()  # raises what ended the asking, if something did
        finally:
            loop.call_soon_threadsafe(asking.cancel)
            thread.join()
            loop.close()

    async def _ask_all(self, requests: Sequence[JudgeRequest], arrived: Arrived) -> None:
        todo = iter(enumerate(requests))
        throttle = Throttle(self.concurrency)

        async def work(client: openai.AsyncOpenAI) -> None:
            for position, request in todo:
                arrived.put((position, await self._answer(client, throttle, request)))
                while arrived.qsize() > 2 * self.concurrency:  # the caller is slower than the endpoint
                    await asyncio.sleep(0.002)

        many = min(self.concurrency, len(requests))
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

        # Loading the certificates takes as long as ten calls; without TLS an empty store will do.
        plain = self.endpoint.startswith("http://")
        for _ in range(many):
            verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True
            # A proxy named in the environment cannot reach this machine's own loopback.
            http = openai.DefaultAsyncHttpxClient(verify=verify, trust_env=not self._loopback)
            yield openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self.endpoint,
                max_retries=0,
                timeout=self.settings.timeout,
                http_client=http,
            )

    async def _answer(self, client: openai.AsyncOpenAI, throttle: Throttle, request: JudgeRequest) -> Reply:
        """The reply to one question, after as many tries as it takes and the settings allow."""
        try:
            arguments = body(request.question, self.model)
        except OSError as error:
            return Reply(None, "", error=f"the image cannot be read: {error}")
        expected = estimate(request.question)
        tries = waits = 0
        lost: dict[str, int] = {}  # tokens of tries that gave no reply
        while True:
            try:
                completion = await self._call(client, throttle, arguments, expected, waits + 1)
            except Failure as failure:
                waits, tries = waits + failure.limited, tries + (not failure.limited)
                lost = _sum(lost, failure.usage)
                if failure.again and self._may_retry(tries, waits):
                    if not failure.limited:  # after a rate limit the throttle makes all wait
                        await asyncio.sleep(self._wait(tries) if failure.pause is None else failure.pause)
                    continue
                self.account.failed(failure)
                again = f" (asked {tries + waits} times)" if tries + waits > 1 else ""
                unused = {"reply": failure.text} if failure.text else {}  # paid for: kept, though it counts for nothing
                return Reply(None, failure.model, error=failure.reason + again, usage={**lost, **unused})
            self.account.succeeded()
            usage: dict[str, Any] = _sum(lost, completion.usage or expected)
            if not completion.usage:
                usage["estimated"] = True
            if completion.finish_reason not in ("", "stop"):
                usage["finish_reason"] = completion.finish_reason
            return Reply(completion.text, completion.model, usage=usage)

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
            accept(completion, self.model, self.settings.allow_other_model)
        except Failure as failure:
            self.account.book(failure.usage)
            if (failure.pause or 0) > self.settings.longest_pause:
                raise Failure(f"{failure.reason}; asked to wait {failure.pause:g} s", stop=True) from failure
            if failure.limited:
                throttle.rate_limited(entered, self._wait(wait) if failure.pause is None else failure.pause)
            raise
        finally:
            self.account.release(promised)
            throttle.leave()
        self.account.book(completion.usage or expected)  # an endpoint that counts no tokens is charged the estimate
        return completion

    def _may_retry(self, tries: int, waits: int) -> bool:
        return tries < self.settings.tries and waits < self.settings.waits and not self.account.stopped

    def _wait(self, failures: int) -> float:
        return backoff(failures, self.settings.first_wait, self.settings.longest_wait)


def parse_argument(argument: str) -> tuple[str, str]:
    """(model name, base URL) of ``NAME[@BASE_URL]``; the name itself may hold an @, as in ``model@20250101``."""
    found = re.fullmatch(r"(.*?)@(https?://.*)", argument)
    name, url = found.groups() if found else (argument, os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    forgotten_scheme = re.search(r".@.*[:/.]", name)  # m@localhost:8000
    if not name or not good or forgotten_scheme:
        raise UsageError(
            f"--judge openai:{argument}: expected openai:NAME or openai:NAME@BASE_URL with a base URL like "
            f"http://127.0.0.1:8000/v1, found the name {name!r} and the URL {url!r}."
        )
    return name, url.rstrip("/")


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine by its loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


JUDGES.register("openai", OpenAIJudge)
