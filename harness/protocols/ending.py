"""How a generation ended, as endpoints spell it: by itself, cut at the token limit, or broken off."""

from __future__ import annotations

CUT = "length"
"""At the token limit; other spellings of it become this one."""
AT_THE_LIMIT = frozenset(
    f"{CUT} max_tokens max_output_tokens max_completion_tokens max_output max_length model_length token_limit "
    "model_context_window_exceeded".split()
)
ERROR = "error"
_REASONS = {
    "was stopped by a content filter": "content_filter content_filtered safety image_safety recitation refusal "
    "blocklist prohibited_content spii sensitive guardrail_intervened error_toxic",
    "ended in a call of a tool": "tool_calls tool_use function_call malformed_function_call unexpected_tool_call",
    "was broken off by an error": f"{ERROR} network_error malformed_model_output",
    "was broken off by the server": "abort cancelled insufficient_system_resource timeout time_limit incomplete "
    "not_finished pause_turn repetition other",
}
BROKEN = {reason: said for said, reasons in _REASONS.items() for reason in reasons.split()}
"""Reasons after which a text is not the whole text, and what they say of it, as OpenAI, Google, Anthropic, Cohere,
Zhipu, Bedrock, watsonx and the servers of open models name them."""


def finish_of(reason: object, completion_tokens: int = 0, max_tokens: object = None) -> str:
    """An endpoint's finish reason in one spelling: "" for a text that ended by itself, ``CUT``, else as it came.

    A server that gives no reason has cut a text of as many tokens as it was allowed.
    """
    said = reason.strip().lower() if isinstance(reason, str) else ""
    said = said.rpartition(".")[2].removeprefix("finish_reason_")  # an enumeration's name, written out
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
