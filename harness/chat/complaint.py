"""What an endpoint says is wrong, wherever in a body it says so. No I/O."""

from __future__ import annotations

from typing import Any

HOLDERS = ("error", "base_resp")
"""Fields that hold what is wrong: of most, and of MiniMax."""
WORDS = ("message", "detail", "status_msg", "error_msg", "error_message")
"""Fields whose text says it."""


def complaint(body: Any) -> str:
    """What ``body``, or the error in it, says is wrong; "" where it says nothing that is a text.

    Google wraps an error in a list; a router says what the endpoint behind it said in ``metadata.raw``.
    """
    if isinstance(body, str):
        return body
    if isinstance(body, list):
        return complaint(body[0]) if len(body) == 1 and isinstance(body[0], dict) else ""
    if not isinstance(body, dict):
        return ""
    if inner := next((said for name in HOLDERS if (said := complaint(body.get(name)))), ""):
        return inner
    said = next((text for name in WORDS if isinstance(text := body.get(name), str) and text), "")
    metadata = body.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    return f"{said}: {raw}" if said and isinstance(raw, str) and raw else said
