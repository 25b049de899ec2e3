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


def chunk(delta: Body, finish: str | None = None, **more: Any) -> str:
    """An event of a stream."""
    head = {"object": "chat.completion.chunk", "model": "judge"}
    return (
        f"data: {json.dumps({**head, 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}], **more})}\n\n"
    )


def stream(*events: str, end: str = "data: [DONE]\n\n") -> Fault:
    """A body of events, as with ``stream: true``."""
    return Fault("raw", "".join((*events, end)).encode(), content_type="text/event-stream")


RATED = (chunk({"role": "assistant", "content": ""}), chunk({"content": "Rating"}), chunk({"content": ": 4"}))


def only_streams(body: Body) -> Said:
    if body.get("stream"):
        return stream(*RATED, chunk({}, "stop"))
    return bad(400, "This model only support stream mode, please enable the stream parameter to access the model.")


def google(status: int, message: str, **more: Any) -> Fault:
    """Gemini's endpoint wraps an error in a list."""
    return http(status, json.dumps([{"error": {"code": status, "message": message, **more}}]).encode())


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
OF_A_DAY = "Rate limit reached on requests per day (RPD): Limit 10000, Used 10000, Requested 1."
QUOTA_OF_A_DAY = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
UNPAID: Body = {
    "id": "x" * 100,
    "choices": None,
    "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"},
}
RAW = {"message": "Provider returned error", "code": 400, "metadata": {"raw": "the image has too many pixels"}}
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
    "a stream that nobody asked for": Personality(lambda body: stream(*RATED, chunk({}, "stop")), "Rating: 4"),
    "a stream without its last event": Personality(lambda body: stream(*RATED, chunk({}, "stop"), end=""), "Rating: 4"),
    "a stream that is broken off": Personality(
        lambda body: stream(*RATED, end=""), None, "the stream ends before its text does", 3
    ),
    "a stream with thoughts and comments": Personality(
        lambda body: stream(": PROCESSING\n\n", chunk({"reasoning_content": "Rating: 2"}), *RATED), "Rating: 4"
    ),
    "a stream with an error in it": Personality(
        lambda body: stream(*RATED, f"data: {json.dumps({'error': UPSTREAM})}\n\n"), None, "broken off by an error", 3
    ),
    "streams alone": Personality(only_streams, None, "its stream is asked for with --set judge.extra_body='{stream: t"),
    "streams alone, set so": Personality(only_streams, "Rating: 4", settings=(("extra_body", {"stream": True}),)),
    "thoughts apart and no text, though it ended": Personality(
        lambda body: choice(None, reasoning_content="Rating: 2"), None, "the judge gave thoughts and no text"
    ),
    "a refusal as a part": Personality(
        lambda body: completion([{"type": "refusal", "refusal": "I cannot."}]), None, "the judge refused: I cannot."
    ),
    "no credit at Moonshot": Personality(
        lambda body: http(429, b'{"error": {"message": "pay", "type": "exceeded_current_quota_error"}}'), None, "pay"
    ),
    "no credit at Zhipu": Personality(lambda body: bad(429, "\u4f59\u989d\u4e0d\u8db3", "1113"), None, "HTTP 429"),
    "the free requests of a day": Personality(
        lambda body: bad(429, "Rate limit exceeded: free-models-per-day", 429), None, "free-models-per-day"
    ),
    "requests of a day that are free again one by one": Personality(
        lambda body: bad(429, f"{OF_A_DAY} Please try again in 8.64s.", "rate_limit_exceeded"), None,
        "(asked 4 times)", 4,
    ),
    "requests of a day that are free again in minutes": Personality(
        lambda body: bad(429, f"{OF_A_DAY} Please try again in 7m12s.", "rate_limit_exceeded"), None, "per day (RPD)"
    ),
    "Google's quota of a day": Personality(
        lambda body: google(429, "You exceeded your current quota", details=[QUOTA_OF_A_DAY]), None,
        "HTTP 429: You exceeded your current quota",
    ),
    "Google's quota of a minute": Personality(
        lambda body: google(429, "You exceeded your current quota"), None, "quota (asked 4 times)", 4
    ),
    "more than a minute's tokens": Personality(
        lambda body: bad(429, "Request too large for gpt-4o on tokens per min (TPM)", "rate_limit_exceeded"), None,
        "Request too large",
    ),
    "a model that is loading": Personality(
        lambda body: bad(503, "Loading model"), None, "Loading model (asked 4 times)", 4
    ),
    "a model that is down": Personality(lambda body: bad(503, "no backend"), None, "no backend (asked 3 times)", 3),
    "no such path": Personality(
        lambda body: http(404, b'{"detail": "Not Found"}'), None, "HTTP 404: Not Found (asked at"
    ),
    "a path that takes no such call": Personality(
        lambda body: http(405, b'{"detail": "Method Not Allowed"}'), None, "is the base URL right?"
    ),
    "LM Studio's path that it does not know": Personality(
        lambda body: {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, None,
        "is the base URL right?",
    ),
    "a web page": Personality(
        lambda body: Fault("raw", b"<!DOCTYPE html>"), None, "(a web page: is the base URL right?)", 3
    ),
    "MiniMax's error": Personality(lambda body: UNPAID, None, "there are no choices: 'insufficient balance'", 3),
    "what a router says for another": Personality(
        lambda body: http(400, json.dumps({"error": RAW}).encode()), None,
        "Provider returned error: the image has too many pixels",
    ),
    "o1-mini's system message": Personality(
        lambda body: bad(400, "'messages[0].role' does not support 'system' with this model."), None,
        "takes no system message",
    ),
    "a parameter between Chinese signs": Personality(
        lambda body: bad(400, "max_tokens\u53c2\u6570\u975e\u6cd5"), None, "extra_body='{max_tokens: null}'"
    ),
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


def test_a_rate_limit_that_lasts_for_all_ends_the_asking() -> None:
    with FaultServer(lambda prompt, nth: bad(429, "slow down")) as server:
        replies = ask(server, requests(*map(str, range(20))), concurrency=1, waits=3)
    assert len(server.calls) == 6
    assert replies[-1].error == "HTTP 429: slow down; 6 times in a row, whatever was asked"


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
