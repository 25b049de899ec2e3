"""Lists and messages that a table holds as texts: CSV cells, and columns that were dumped as JSON or by Python."""

from __future__ import annotations

import ast
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from aligners.pairs.rows import BadRow, Place

ROLE, CONTENT = ("role", "from"), ("content", "value")
"""The keys of a message, in the spellings in use."""
LOOKS_LIKE_MESSAGES = re.compile(
    r"""(?s)\s*+(?:array\()?+\s*+\[?+\s*+\{\s*+(?:["']messages["']\s*+:\s*+\[\s*+\{\s*+)?+"""
    r"""(?=.*?["'](?:role|from)["']\s*:)(?=.*?["'](?:content|value)["']\s*:)"""
    r"""["'](?:role|from|content|value)["']"""
)
PARTS = {
    "text": {"type", "text", "value"},
    "image": {"type", "image", "url", "path", "base64", "value"},
    "image_url": {"type", "image_url", "value"},
}
"""Kinds of a message's parts and their keys; a parquet file gives all keys to each, empty."""
SEVERAL = ("image", "images", "rejected_images", "history", "completions", "conversations", "rejected_conversations")
"""Columns that are a list or an object, whatever is in it; a name of a file is no such text."""
TEXTS = ("question", "prompt", "chosen", "rejected", "output_1", "output_2", "instruction", "input", "system")
"""Columns that are a text or messages; a text may be JSON of its own (boxes, extracted fields)."""


def read_out(row: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """``row`` with the lists and messages in its texts. Raises BadRow for messages that cannot be read."""
    read = dict(row)
    for names, wanted in ((SEVERAL, _any), (TEXTS, _messages)):
        for name in names:
            if isinstance(row.get(name), str):
                read[name] = _value(row[name], name, place, wanted)
            if _request(read.get(name)):
                read[name] = _messages_of(read[name], name, place)
    return read


def _request(value: Any) -> bool:
    """Whether ``value`` is messages as a chat endpoint takes them: {"messages": [...], "tools": [...]}."""
    return isinstance(value, Mapping) and isinstance(value.get("messages"), list) and _messages(value["messages"])


def _messages_of(request: Mapping[str, Any], name: str, place: Place) -> Any:
    if request.get("tools"):
        raise BadRow(place, f"{name} holds tools: only texts and images are trained on.")
    return request["messages"]


def parts_of(content: str, name: str, place: Place) -> Any:
    """The content of a message: its parts where the text is a list of such, else the text. Raises BadRow."""
    return _value(content, name, place, _parts)


def _value(text: str, name: str, place: Place, wanted: Callable[[Any], bool]) -> Any:
    """What ``text`` says as JSON or as Python writes it, if that is a list or object that is ``wanted``; else it.

    JSON that was written as JSON once more is read twice.
    """
    if text.lstrip().startswith(('"[', '"{')):
        with contextlib.suppress(ValueError, RecursionError):
            inner = json.loads(text)
            if isinstance(inner, str) and (value := _value(inner, name, place, wanted)) is not inner:
                return value
        return text
    if not text.lstrip().startswith(("[", "{", "array(")):
        return text
    messages = LOOKS_LIKE_MESSAGES.match(text)
    for parse in (json.loads, ast.literal_eval) if messages or wanted is not _messages else (json.loads,):
        try:
            value = parse(text.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return value if isinstance(value, list | tuple | Mapping) and wanted(value) else text
    if messages:
        raise BadRow(place, f"{name}: a text of messages that are neither JSON nor Python's", f" ({text!r:.80}).")
    return text


def _any(value: Any) -> bool:
    return True


def _messages(value: Any) -> bool:
    """Whether ``value`` is a message or holds one, or is parts of one (which are refused where they stand alone)."""
    if _request(value):
        return True
    members = [value] if isinstance(value, Mapping) else value
    said = (each for each in members if isinstance(each, Mapping))
    return _parts(value) or any(any(k in each for k in ROLE) and any(k in each for k in CONTENT) for each in said)


def _parts(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(_part(each) for each in value)


def _part(value: Any) -> bool:
    kind = type_of(value)
    return kind in PARTS and {key for key in value if value[key] is not None} <= PARTS[kind]


def type_of(part: Any) -> str:
    """The "type" of a message's part; "" for what is no part or names none."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else ""
