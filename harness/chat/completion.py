"""The wire format of a call: a request as JSON, a response body as a completion. No I/O."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any

from harness.chat.complaint import complaint
from harness.chat.prices import DATED
from harness.chat.request import ChatRequest
from harness.chat.stream import Unfinished, is_stream, joined
from harness.protocols.conversation import Image, Turn
from harness.protocols.ending import CUT, ERROR, finish_of
from harness.util.images import as_shown, open_image
from harness.util.secrets import hide, hide_known

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
REASONING = ("reasoning_content", "reasoning")
"""Where vLLM, SGLang, DeepSeek and OpenRouter put the thoughts of a message."""
MOST = 2**31
"""Token counts and ids are below it; what is not is not one."""
SHOWN = 200
"""Characters of what an endpoint says that stand in a reason."""
NO_SUCH_PATH = "unexpected endpoint or method"
"""LM Studio's words for a path that it does not know, with status 200."""
SIGNATURES = {b"\x89PNG": "png", b"GIF8": "gif", b"RIFF": "webp"}


class Malformed(Exception):
    """The endpoint's body is not a chat completion with a text in it.

    ``usage`` and ``model`` are what could still be read: an empty completion may have been paid for. ``status`` is the
    HTTP status that a router reports of the endpoint behind it in the body of a reply with status 200; 0 for none.
    """

    def __init__(self, reason: str, model: str = "", usage: dict[str, int] | None = None, status: int = 0) -> None:
        super().__init__(reason)
        self.model, self.usage, self.status = model, usage or {}, status


@dataclass(frozen=True)
class Completion:
    """What is used of a chat completion. ``refusal`` is the model's own word for giving no text.

    ``finish_reason`` is as ``harness.protocols.ending`` spells it. ``reasoning`` is what the endpoint holds apart from
    the text: the model's thoughts. ``prompt_ids`` are the prompt's tokens where the endpoint gives them (vLLM).
    """

    text: str | None
    model: str
    usage: dict[str, int] = field(default_factory=dict)
    finish_reason: str = ""
    refusal: str = ""
    reasoning: str = ""
    prompt_ids: tuple[int, ...] = ()

    @property
    def cut(self) -> bool:
        """Whether it ended at the token limit."""
        return self.finish_reason == CUT


def valid(text: str) -> str:
    """``text`` with half surrogate pairs replaced: JSON can spell them, UTF-8 and SQLite cannot."""
    return text.encode(errors="replace").decode()


def said(text: str) -> str:
    """What an endpoint says, ``valid`` and without the keys that it may repeat."""
    return hide_known(valid(text))


def body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The arguments of a chat completion call; limits that ``request`` leaves open are not sent."""
    messages = [{"role": turn.role, "content": _content(turn)} for turn in request.messages]
    arguments: dict[str, Any] = {"model": model, "messages": messages, "temperature": request.temperature}
    limits = {"max_tokens": request.max_tokens, "top_p": request.top_p}
    arguments |= {name: value for name, value in limits.items() if value is not None}
    return arguments | ({"return_token_ids": True} if request.return_ids else {})


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    """A text as it is; text and images as parts in their order."""
    if not turn.images:
        return valid(turn.text)
    return [
        {"type": "image_url", "image_url": {"url": data_url(part)}}
        if isinstance(part, Image)
        else {"type": "text", "text": valid(part)}
        for part in turn.content
    ]


def data_url(image: Image) -> str:
    """The image as a base64 data URL, its type read from its first bytes (JPEG if they are unknown).

    Raises OSError for a file that cannot be read and ValueError for one that cannot be opened as an image.
    """
    data = as_shown(image.read())
    open_image(data)  # what is no image, or only the beginning of one, does not leave this machine
    kind = SIGNATURES.get(data[:4], "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def read(content: bytes, max_tokens: object = None) -> Completion:
    """The completion in a response body; anything else raises Malformed and says what came instead.

    ``max_tokens`` is what the call allowed: a completion of as many and without a finish reason is cut.
    """
    data = _object(content)
    usage, model = _usage(data.get("usage")), data.get("model")
    model = said(model) if isinstance(model, str) else ""
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        wrong = hide(complaint(data))[:SHOWN]
        if choices == [] and not wrong:
            raise Malformed("the list of choices is empty", model, usage)
        reason = f"there are no choices: {repr(wrong) if wrong else _shown(content)}"
        raise Malformed(reason, model, usage, _status(data.get("error")))
    choice = _first(choices)
    if choice is None:
        raise Malformed(f"there are {len(choices)} choices, and none or several are number 0", model, usage)
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    refusal = message.get("refusal")
    finish = finish_of(choice.get("finish_reason"), usage.get("completion_tokens", 0), max_tokens)
    if _fails(choice.get("error")) or _fails(data.get("error")):
        finish = ERROR  # a router whose endpoint broke off gives what came until then
    text, thoughts = _parts(message.get("content"))
    refusal = refusal or _refusal(message.get("content"))
    reasoning = next((given for name in REASONING if isinstance(given := message.get(name), str)), thoughts)
    if (isinstance(refusal, str) and refusal) or (text is None and finish == "content_filter"):
        return Completion(None, model, usage, finish, said(str(refusal or "content filter")))
    if text is None and (reasoning or finish == CUT):
        text = ""  # it never came to speak
    if text is None:
        raise Malformed(f"the message holds no text: {_without_text(choice, message)}", model, usage)
    prompt_ids = _ids(data.get("prompt_token_ids"))
    return Completion(said(text), model, usage, finish, reasoning=said(reasoning), prompt_ids=prompt_ids)


def _object(content: bytes) -> dict[str, Any]:
    """The JSON object in a body, or what the events of a stream add up to, which some servers send unasked."""
    try:
        data = joined(content) if is_stream(content) else json.loads(content)
    except Unfinished as error:
        raise Malformed(str(error)) from None
    except (ValueError, RecursionError):
        page = " (a web page: is the base URL right?)" if content.lstrip().startswith(b"<") else ""
        raise Malformed(f"the body is not JSON: {_shown(content)}{page}") from None
    if not isinstance(data, dict):
        raise Malformed(f"the body is not a JSON object: {_shown(content)}")
    return data


def _first(choices: list[Any]) -> dict[str, Any] | None:
    """The only choice, or of several the one whose index is 0, wherever it stands; None where that is not one."""
    first = choices if len(choices) == 1 else [c for c in choices if isinstance(c, dict) and _is_zero(c.get("index"))]
    return (first[0] if isinstance(first[0], dict) else {}) if len(first) == 1 else None


def _is_zero(index: object) -> bool:
    return isinstance(index, int) and not isinstance(index, bool) and index == 0


def _fails(error: Any) -> bool:
    """Whether what stands in an ``error`` is one; some endpoints give an empty one with every reply."""
    return bool(error.get("message") or error.get("code") if isinstance(error, dict) else error)


def _status(error: Any) -> int:
    """The HTTP status in the error of a body, 0 where there is none."""
    if isinstance(error, str) and NO_SUCH_PATH in error.lower():
        return 404
    code = error.get("code") if isinstance(error, dict) else None
    code = int(code) if isinstance(code, str) and re.fullmatch("[45][0-9]{2}", code) else code
    return code if isinstance(code, int) and 400 <= code <= 599 else 0


def _ids(value: Any) -> tuple[int, ...]:
    """Token ids; none where they are anything else."""
    whole = isinstance(value, list) and all(isinstance(id, int) and 0 <= id < MOST for id in value)
    return tuple(value) if whole else ()


def _parts(content: Any) -> tuple[str | None, str]:
    """(text, thoughts) of a message's content, which may be parts of either kind; None: there is no text."""
    if isinstance(content, str):
        return content, ""
    listed = [content] if isinstance(content, dict) else content
    if not isinstance(listed, list) or not all(isinstance(part, str | dict) for part in listed):
        return None, ""
    parts = [{"text": part} if isinstance(part, str) else part for part in listed]
    texts = [_text(part) for part in parts if part.get("type", "text") in ("text", "output_text")]
    held = [text for text in texts if text is not None]
    thoughts = [_parts(part.get("thinking"))[0] or "" for part in parts if part.get("type") == "thinking"]
    whole = bool(held) and all(isinstance(text, str) for text in held)
    return "".join(held) if whole else None, "".join(thoughts)


def _refusal(content: Any) -> str:
    """The model's own word for giving no text, where it stands as a part of the content."""
    parts = content if isinstance(content, list) else []
    said = [part.get("refusal") for part in parts if isinstance(part, dict) and part.get("type") == "refusal"]
    return "".join(text for text in said if isinstance(text, str))


def _text(part: dict[str, Any]) -> Any:
    """What a part holds as its text, which OpenAI's assistants wrap once more; None for a part that holds nothing."""
    text = part.get("text")
    return text.get("value") if isinstance(text, dict) else text


def _without_text(choice: dict[str, Any], message: dict[str, Any]) -> str:
    """What a message without a text holds in its place, and the finish reason as the endpoint gives it."""
    content, reason = message.get("content"), choice.get("finish_reason")
    kind = type(content).__name__
    found = "null" if content is None else f"{kind} without a text" if isinstance(content, list) else kind
    held = f"its content is {found}" if "content" in message else "it has no content"
    return f"{held} (finish reason {said(reason)[:40] if isinstance(reason, str) and reason else 'not given'})"


def same_model(asked: str, returned: str) -> bool:
    """Whether ``returned`` is the model asked for: the same name, or a dated release of it."""
    return returned == asked or (DATED.search(asked) is None and DATED.sub("", returned) == asked)


def _usage(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    counts = {name: value.get(name) for name in COUNTS}
    return {n: c for n, c in counts.items() if isinstance(c, int) and not isinstance(c, bool) and 0 <= c < MOST}


def _shown(content: bytes) -> str:
    """The beginning of a body; keys are hidden before it is cut, since half a key would not be known for one."""
    text = hide(content[:4096].decode(errors="replace"))[:80]
    return repr(text) if content else "it is empty"
