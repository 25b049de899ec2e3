"""A completion that comes as a stream of events (SSE): its parts put together, as one body would have them. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

DONE = "[DONE]"
"""What ends a stream; some servers leave it out after the finish reason."""


class Unfinished(ValueError):
    """A stream without its end: what came of it is the beginning of a text."""


def is_stream(content: bytes) -> bool:
    """Whether a body is a stream of events and no JSON."""
    return content.lstrip(b"\xef\xbb\xbf\r\n ").startswith((b"data:", b"event:", b"id:", b": ", b":\n"))


def joined(content: bytes) -> dict[str, Any]:
    """The completion that the chunks of a stream add up to.

    Raises Unfinished where it neither gives a finish reason nor says that it is done, and ValueError for an event that
    is no JSON object.
    """
    whole: dict[str, Any] = {}
    deltas: list[dict[str, Any]] = []
    finish, done = None, False
    for event in _events(content):
        if event == DONE:
            done = True
            continue
        chunk = json.loads(event)
        if not isinstance(chunk, dict):
            raise ValueError("an event is no object")
        given = chunk.get("choices")
        whole |= {name: value for name, value in chunk.items() if value and name != "choices"}
        for choice in given if isinstance(given, list) else []:
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                continue
            delta = choice.get("delta") or choice.get("message")
            deltas += [delta] if isinstance(delta, dict) else []
            finish = choice.get("finish_reason") or finish
    if deltas and not (done or finish or whole.get("error")):
        raise Unfinished("the stream ends before its text does")
    if deltas:
        whole["choices"] = [{"index": 0, "message": _message(deltas), "finish_reason": finish}]
    return whole


def _events(content: bytes) -> Iterator[str]:
    """The data of each event; comments, by which servers keep a connection open, are none."""
    for line in re.split(r"\r\n|\n|\r", content.decode("utf-8-sig")):  # a text may hold other ends of lines
        if line.startswith("data:") and (data := line.removeprefix("data:").strip()):
            yield data


def _message(deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """The message whose fields come piece by piece in ``deltas``: texts joined, lists of parts as one."""
    message: dict[str, Any] = {}
    for delta in deltas:
        for name, piece in delta.items():
            before = message.get(name)
            if piece is None or name == "role":
                continue
            if isinstance(before, str) and isinstance(piece, str):
                message[name] = before + piece
            elif before is None:
                message[name] = piece
            else:
                message[name] = [*_listed(before), *_listed(piece)]
    return message


def _listed(piece: Any) -> list[Any]:
    return piece if isinstance(piece, list) else [piece]
