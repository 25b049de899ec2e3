"""How a generation ended, as endpoints spell it: by itself, cut at the token limit, or broken off."""

from __future__ import annotations

CUT = "length"
"""At the token limit; other spellings of it become this one."""
AT_THE_LIMIT = frozenset(
    {CUT, "max_tokens", "max_output_tokens", "max_length", "model_length", "model_context_window_exceeded"}
)
BROKEN = {
    "content_filter": "was stopped by a content filter",
    "safety": "was stopped by a content filter",
    "recitation": "was stopped by a content filter",
    "refusal": "was stopped by a content filter",
    "tool_calls": "ended in a call of a tool",
    "tool_use": "ended in a call of a tool",
    "function_call": "ended in a call of a tool",
    "error": "was broken off by an error",
    "network_error": "was broken off by an error",
    "abort": "was broken off by the server",
    "cancelled": "was broken off by the server",
    "insufficient_system_resource": "was broken off by the server",
}
"""Reasons after which a text is not the whole text, and what they say of it."""


def finish_of(reason: object, completion_tokens: int = 0, max_tokens: object = None) -> str:
    """An endpoint's finish reason in one spelling: "" for a text that ended by itself, ``CUT``, else as it came.

    A server that gives no reason has cut a text of as many tokens as it was allowed.
    """
    said = reason.strip().lower() if isinstance(reason, str) else ""
    if said in AT_THE_LIMIT:
        return CUT
    if not said and isinstance(max_tokens, int) and completion_tokens >= max_tokens > 0:
        return CUT
    return said if said in BROKEN else ""


def may_pass(reason: str) -> bool:
    """Whether asking again may end otherwise: what a server broke off, not what it filtered."""
    return "broken off" in broken(reason)


def broken(reason: object) -> str:
    """Why a text that ended so is not the whole of it ("was stopped by a content filter"); "" if it may be."""
    return BROKEN.get(finish_of(reason), "")
