"""The client against endpoints as they are found: each refuses, cuts, renames or wraps in its own way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harness.chat.request import ChatRequest
from harness.protocols.conversation import Image, Turn
from tests.harness.chat.test_client import PNG, ask, requests
from tests.harness.fault_server import Fault, FaultServer, completion, http

Body = dict[str, Any]
Said = str | Fault | Body


def bad(status: int, message: str, code: Any = None, param: str | None = None) -> Fault:
    return http(status, json.dumps({"error": {"message": message, "code": code, "param": param}}).encode())


def choice(text: str | None, finish: str = "stop", **message: Any) -> Body:
    return completion("", choices=[{"message": {"content": text, **message}, "finish_reason": finish}])


def gpt5(body: Body) -> Said:
    if "max_tokens" in body:
        return bad(400, "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                        "'max_completion_tokens' instead.", "unsupported_parameter", "max_tokens")  # fmt: skip
    if body.get("temperature", 1) != 1:
        return bad(400, "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) "
                        "value is supported.", "unsupported_value", "temperature")  # fmt: skip
    return completion("Rating: 4", model="judge-2025-08-07")


def no_system(body: Body) -> Said:
    return bad(400, "System role not supported") if body["messages"][0]["role"] == "system" else "Rating: 4"


def thinking(body: Body) -> Said:
    if body.get("enable_thinking", True):
        return bad(400, "parameter.enable_thinking must be set to false for non-streaming calls")
    return "Rating: 4"


def image_limit(body: Body) -> Said:
    if isinstance(body["messages"][-1]["content"], list):
        return bad(400, "At most 0 image(s) may be provided in one prompt.", "BadRequestError")
    return "Rating: 4"


@dataclass(frozen=True)
class Personality:
    """``text`` of the reply or what stands in its ``error``, after ``calls`` calls with ``settings``."""

    answers: Callable[[Body], Said]
    text: str | None
    error: str = ""
    calls: int = 1
    settings: tuple[tuple[str, Any], ...] = ()


LONG = bad(400, "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens.",
           "context_length_exceeded", "messages")  # fmt: skip
THOUGHT = "<think>2?</think>\n\nRating: 4"
SNAPSHOT = completion("Rating: 4", model="judge-snapshot")
UPSTREAM = {"code": 502, "message": "Upstream connection closed"}
WRAPPED: Body = {"error": {"message": "Provider returned error", "code": 429}}

PERSONALITIES = {
    "gpt-5": Personality(gpt5, "Rating: 4", calls=3),
    "thoughts in the text": Personality(lambda body: THOUGHT, THOUGHT),
    "thoughts apart, text never begun": Personality(
        lambda body: choice(None, "length", reasoning_content="Rating: 2"), None, "cut inside its thoughts"
    ),
    "an error in a reply with status 200": Personality(lambda body: WRAPPED, None, "Provider returned error", 4),
    "another name": Personality(lambda body: SNAPSHOT, None, "'judge-snapshot'"),
    "another name that is allowed": Personality(
        lambda body: SNAPSHOT, "Rating: 4", settings=(("allow_other_model", True),)
    ),
    "too long a prompt": Personality(lambda body: LONG, None, "maximum context length is 4096"),
    "parts": Personality(lambda body: completion([{"type": "text", "text": "Rating: 4"}]), "Rating: 4"),
    "a part by itself": Personality(lambda body: completion({"type": "text", "text": "Rating: 4"}), "Rating: 4"),
    "a part without a type": Personality(lambda body: completion([{"text": "Rating: 4"}]), "Rating: 4"),
    "an empty part before the text": Personality(
        lambda body: completion([{"type": "text", "text": None}, {"type": "text", "text": "Rating: 4"}]), "Rating: 4"
    ),
    "a part's text wrapped as of OpenAI's assistants": Personality(
        lambda body: completion([{"type": "text", "text": {"value": "Rating: 4", "annotations": []}}]), "Rating: 4"
    ),
    "a part whose text is none": Personality(
        lambda body: completion([{"type": "text", "text": ["Rating: 4"]}]), None, "the message holds no text", 3
    ),
    "no name": Personality(
        lambda body: completion("Rating: 4", model=""), None,
        "returned no model name; take its replies with --set judge.allow_other_model=true",
    ),
    "no system message": Personality(no_system, None, "its chat template takes no system message"),
    "no thinking without streaming": Personality(
        thinking, None, "it is sent with --set judge.extra_body='{enable_thinking: false}'"
    ),
    "no thinking, set so": Personality(
        thinking, "Rating: 4", settings=(("extra_body", {"enable_thinking": False}),)
    ),
    "no images": Personality(image_limit, None, "At most 0 image(s)"),
    "retired": Personality(lambda body: bad(404, "It has been deprecated", "model_not_found"), None, "deprecated"),
    "no credit": Personality(lambda body: bad(402, "Insufficient credits"), None, "Insufficient credits"),
    "forbidden by policy": Personality(lambda body: bad(403, "blocked by policy"), None, "blocked by policy"),
    "too large": Personality(lambda body: bad(413, "payload too large"), None, "payload too large"),
    "a filter": Personality(lambda body: choice(None, "content_filter"), None, "refused: content filter"),
    "Google's filter": Personality(
        lambda body: choice("Rating: 4", "PROHIBITED_CONTENT"), None, "stopped by a content filter"
    ),
    "a server's time limit": Personality(lambda body: choice("Rating: 4", "time_limit"), None, "broken off", 3),
    "an enumeration's name": Personality(lambda body: choice("Rating: 4", "FinishReason.STOP"), "Rating: 4"),
    "broken off behind a router": Personality(
        lambda body: completion("", choices=[{"message": {"content": "Rating: 4"}, "error": UPSTREAM}]),
        None, "broken off by an error", 3,
    ),
    "an error beside the text": Personality(
        lambda body: {**completion("Rating: 4"), "error": UPSTREAM}, None, "broken off by an error", 3
    ),
    "an empty error with every reply": Personality(
        lambda body: {**completion("Rating: 4"), "error": {"message": "", "code": 0}}, "Rating: 4"
    ),
    "a rate limit that lasts": Personality(lambda body: bad(429, "slow down"), None, "slow down (asked 4 times)", 4),
    "overloaded": Personality(lambda body: bad(529, "overloaded"), None, "overloaded (asked 4 times)", 4),
}  # fmt: skip


@pytest.mark.parametrize("name", PERSONALITIES)
def test_an_endpoint_of_this_kind_gives_its_reply_or_its_reason_in_as_many_calls_as_it_takes(name: str) -> None:
    kind = PERSONALITIES[name]
    asked = [ChatRequest((Turn("system", ("s",)), Turn("user", (Image(data=PNG), "q"))), max_tokens=512)]
    with FaultServer(lambda prompt, nth: kind.answers(server.calls[-1])) as server:
        (reply,) = ask(server, asked, waits=4, **dict(kind.settings))
    assert reply.text == kind.text
    assert kind.error in (reply.error or "")
    assert len(server.calls) == kind.calls


def test_a_rate_limit_that_passes_leaves_no_trace() -> None:
    with FaultServer(lambda prompt, nth: bad(429, "Rate limit reached") if nth == 0 else "Rating: 4") as server:
        replies = ask(server, requests(*map(str, range(20))))
    assert {reply.text for reply in replies} == {"Rating: 4"}
    assert len(server.calls) == 40


def test_a_server_that_works_at_one_call_after_the_other_is_asked_fewer_at_once_until_all_is_answered() -> None:
    one = threading.Lock()

    def play(prompt: str, nth: int) -> str:
        with one:
            time.sleep(0.05)
        return "Rating: 4"

    with FaultServer(play) as server:
        replies = ask(server, requests(*map(str, range(16))), concurrency=16, timeout=0.5, tries=8)
    assert {reply.text for reply in replies} == {"Rating: 4"}
    assert len(server.calls) < 16 * 4
