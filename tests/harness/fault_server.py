"""A chat completions endpoint on loopback that plays the faults of real ones.

``FaultServer(play)`` asks ``play(prompt, nth)`` for each call, where ``nth`` counts the calls with that prompt from 0,
and answers as told: a string is the reply, a Fault is played. Used as a context manager; ``url`` is its base URL.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One way to answer badly.

    ``kind``: raw (send ``body`` under ``status``), reset (no answer), cut (reset in the middle of the body), close (the
    answer, then no more of this connection), endless (``body`` again and again), stall, drip (a byte now and then).
    """

    kind: str
    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def http(status: int, body: bytes = b'{"error": {"message": "no"}}', **headers: str) -> Fault:
    """An HTTP error; header names with underscores for hyphens."""
    return Fault("raw", body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def completion(text: Any, model: str = "judge", **more: Any) -> dict[str, Any]:
    """A chat completion of ``text``: 10 prompt tokens and 5 completion tokens."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    head = {"id": "x", "object": "chat.completion", "created": 0}
    return {**head, "model": model, "choices": [choice], "usage": usage, **more}


Play = Callable[[str, int], "str | Fault | dict[str, Any]"]


class FaultServer:
    """The server, in a thread of its own. ``calls`` holds the request bodies in order of arrival.

    ``latency`` is seconds before each answer; ``most`` the most calls that were in flight at once.
    """

    def __init__(
        self, play: Play | None = None, latency: float = 0.0, keep: bool = True, host: str = "127.0.0.1"
    ) -> None:
        self._host = host
        self._play = play or (lambda prompt, nth: f"reply to {prompt}")
        self.latency, self._keep = latency, keep
        self.calls: list[dict[str, Any]] = []
        self.headers: list[bytes] = []
        self.seen: Counter[str] = Counter()
        self.active = self.most = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FaultServer:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._client, self._host, 0, limit=2**24)
        named = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"http://{named}:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")
                )
                call = json.loads(await reader.readexactly(length))
                self.active += 1
                self.most = max(self.most, self.active)
                try:
                    await self._answer(writer, call, head)
                finally:
                    self.active -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, writer: asyncio.StreamWriter, call: dict[str, Any], head: bytes) -> None:
        content = call["messages"][-1]["content"]
        prompt = content if isinstance(content, str) else content[-1]["text"]
        nth, told = 0, None
        if self._keep:
            nth = self.seen[prompt]
            self.seen[prompt] += 1
            self.calls.append(call)
            self.headers.append(head)
        told = self._play(prompt, nth)
        if self.latency:
            await asyncio.sleep(self.latency)
        if not isinstance(told, Fault):
            answer = told if isinstance(told, dict) else completion(told, call["model"])
            told = Fault("raw", json.dumps(answer).encode())
        await self._send(writer, told)

    async def _send(self, writer: asyncio.StreamWriter, fault: Fault) -> None:
        if fault.kind == "reset":
            writer.transport.abort()
            return
        if fault.kind == "stall":
            await asyncio.sleep(3600)
        length = 1 << 40 if fault.kind == "endless" else len(fault.body)
        lines = [f"HTTP/1.1 {fault.status} X", f"content-type: {fault.content_type}", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in fault.headers.items()]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        if fault.kind == "drip":  # a byte now and then, so that no read timeout ever strikes
            writer.write(head)
            for byte in fault.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        elif fault.kind == "endless":
            writer.write(head)
            while True:
                writer.write(fault.body)
                await writer.drain()
        else:
            writer.write(head + (fault.body[: len(fault.body) // 2] if fault.kind == "cut" else fault.body))
        await writer.drain()
        if fault.kind in ("cut", "close"):
            raise ConnectionResetError
