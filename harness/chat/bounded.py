"""The HTTP client under the chat client: it reads no more than a completion can have, and follows no redirect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing httpx2 and openai takes a second
    import ssl

    import httpx2

MOST_BYTES = 32 << 20
"""Of a reply's body, unpacked; a completion of 100,000 tokens has one."""
PACKING = ("content-encoding", "content-length", "transfer-encoding")
"""Headers about a body as it is sent: the body that is handed on is unpacked and whole."""


class TooLong(Exception):
    """A reply's body is longer than any completion: it is not read to its end."""


def bounded_client(proxy: str, verify: ssl.SSLContext | bool) -> httpx2.AsyncClient:
    """An HTTP client whose replies have at most ``MOST_BYTES``, and that follows no redirect.

    A redirect would take the key and the question to a host that nobody named. ``proxy`` is the URL of the one that all
    calls go through, "" for none: httpx2 by itself would open every proxy of the environment, also those for other
    hosts and schemes. ``verify`` is httpx2's.
    """
    import httpx2
    import openai

    class Bounded(openai.DefaultAsyncHttpxClient):  # type: ignore[misc, valid-type]
        async def send(self, request: httpx2.Request, *, stream: bool = False, **how: Any) -> httpx2.Response:
            response = await super().send(request, stream=True, **how)
            try:
                body = await _read(response)
            finally:
                await response.aclose()
            headers = [(name, value) for name, value in response.headers.raw if name.decode().lower() not in PACKING]
            return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    options: dict[str, Any] = {"verify": verify, "proxy": proxy}
    if not proxy:
        options = {"transport": httpx2.AsyncHTTPTransport(verify=verify, limits=openai.DEFAULT_CONNECTION_LIMITS)}
    return Bounded(follow_redirects=False, **options)


async def _read(response: httpx2.Response) -> bytes:
    """The body, unpacked as it comes, so that a small one that unpacks into a large one is not taken in either."""
    parts, size = [], 0
    async for part in response.aiter_bytes(1 << 16):
        size += len(part)
        if size > MOST_BYTES:
            raise TooLong(f"the reply has more than {MOST_BYTES >> 20} MiB, and was not read to its end")
        parts.append(part)
    return b"".join(parts)
