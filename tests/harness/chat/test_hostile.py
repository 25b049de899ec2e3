"""The client against endpoints that send too much, send it elsewhere, repeat keys, or answer with nonsense."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.chat.completion import Completion, Malformed, read
from harness.chat.settings import ChatSettings
from harness.chat.throttle import retry_after
from harness.errors import UsageError
from harness.util.options import build
from harness.util.secrets import HIDDEN
from tests.harness.chat.test_client import ask, requests
from tests.harness.fault_server import Fault, FaultServer, completion, http

KEY = "sk-hostile/0123456789+abcdefghij"
GOOD = completion("Rating: 6")


@pytest.mark.parametrize("kind", ["endless", "gzip"])
def test_a_body_longer_than_any_completion_is_not_read_to_its_end(kind: str) -> None:
    bomb = gzip.compress(bytes(200 << 20), 9)
    faults = {
        "endless": Fault("endless", bytes(1 << 20)),
        "gzip": Fault("raw", bomb, headers={"content-encoding": "gzip"}),
    }
    with FaultServer(lambda prompt, nth: faults[kind] if prompt == "bad" else "fine") as server:
        bad, good = ask(server, requests("bad", "good"))
    assert bad.error == "the reply has more than 32 MiB, and was not read to its end"
    assert good.text == "fine"
    assert server.seen["bad"] == 1


def test_a_redirect_is_not_followed_and_names_where_it_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED", KEY)
    with FaultServer() as other:
        location = other.url + "/chat/completions"
        with FaultServer(lambda prompt, nth: http(307, b"", location=location)) as server:
            (reply,) = ask(server, requests("q"), api_key_env="HOSTED")
    assert reply.error == f"HTTP 307: it redirects to {location}, which is not followed: name that"
    assert other.headers == []


def test_a_connection_that_breaks_or_is_closed_costs_no_reply() -> None:
    body = json.dumps(completion("fine")).encode()
    kinds = {"cut": Fault("cut", body), "close": Fault("close", body)}
    with FaultServer(lambda prompt, nth: kinds[prompt] if nth == 0 else "fine") as server:
        replies = ask(server, requests("cut", "close"), concurrency=1)
    assert [reply.text for reply in replies] == ["fine", "fine"]
    assert server.seen["cut"] == 2


def test_an_address_of_ipv6_is_called() -> None:
    try:
        with FaultServer(host="::1") as server:
            assert ask(server, requests("q"))[0].text == "reply to q"
    except AttributeError:
        pytest.skip("this machine has no IPv6 loopback")


@pytest.mark.parametrize(
    ("fault", "asked", "reason"),
    [
        (http(403), 1, "HTTP 403: no"),
        (http(413), 1, "HTTP 413: no"),
        (http(429, b'{"error": {"message": "pay", "type": "billing_hard_limit_reached"}}'), 1, "HTTP 429: pay"),
        (http(429, retry_after="-5"), 2, "HTTP 429: no (asked 2 times)"),
        (http(429, retry_after="nan"), 2, "HTTP 429: no (asked 2 times)"),
        (http(429, retry_after="9" * 400), 1, "HTTP 429: no; asked to wait inf s"),
        (http(529), 2, "HTTP 529: no (asked 2 times)"),
        (Fault("raw", b'{"error": {"message": "busy", "code": 429}}'), 2, "busy"),
        (Fault("raw", b'{"error": {"message": "no such model", "code": 404}}'), 1, "no such model"),
        (http(500, b"[1, 2]"), 3, "HTTP 500: [1, 2] (asked 3 times)"),
        (http(400, b'{"error": {"message": ["a"], "param": {"b": 1}, "code": []}}'), 1, "HTTP 400"),
        (http(404, b"\xff\xfe", content_encoding="gzip"), 3, "connection failed"),
    ],
    ids=range(12),
)
def test_what_cannot_pass_is_asked_once_and_what_may_pass_again(fault: Fault, asked: int, reason: str) -> None:
    with FaultServer(lambda prompt, nth: fault) as server:
        (reply,) = ask(server, requests("q"), waits=2)
    assert reply.text is None
    assert reason in (reply.error or "")
    assert len(server.calls) == asked


@pytest.mark.parametrize(
    "value", ["nan", "-1", "soon", "Wed, 21 Oct 99999 07:28:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"]
)
def test_a_retry_after_that_is_no_time_asks_for_no_pause(value: str) -> None:
    assert not retry_after({"retry-after": value})
    assert not retry_after({"retry-after-ms": value})


def test_an_endpoint_that_takes_its_time_with_the_headers_has_no_more_of_it_than_with_the_rest() -> None:
    with FaultServer(lambda prompt, nth: Fault("stall")) as server:
        began = time.monotonic()
        (reply,) = ask(server, requests("q"), timeout=0.3, tries=1)
    assert "no answer within 0.3 s" in (reply.error or "")
    assert time.monotonic() - began < 3


def mutated(value: Any, random_: random.Random) -> Any:
    """``value`` with some of its parts replaced by anything."""
    anything = [None, True, -1, 10**30, float("nan"), "", "\ud800", "x" * 50, [], {}, [None], {"text": 1}, [["a"], {}]]
    if random_.random() < 0.15:
        return random_.choice(anything)
    if isinstance(value, dict):
        return {name: mutated(item, random_) for name, item in value.items() if random_.random() > 0.05}
    if isinstance(value, list):
        return [mutated(item, random_) for item in value] * random_.choice([1, 1, 1, 0, 2])
    return value


def test_a_body_with_anything_in_place_of_anything_is_a_completion_or_malformed_and_never_a_crash() -> None:
    random_ = random.Random(1)
    body = completion(["Rating: ", {"type": "text", "text": "6"}], prompt_token_ids=[1, 2], error={"code": 500})
    body["choices"][0]["message"] |= {"reasoning_content": "r", "refusal": None}
    read_ones = 0
    for _ in range(5000):
        content = json.dumps(mutated(body, random_)).encode()
        try:
            got = read(content)
        except Malformed as error:
            assert 0 <= error.status < 600
            continue
        read_ones += 1
        assert isinstance(got, Completion)
        assert got.text is None or "Rating" in got.text or got.text.encode().decode() == got.text
        assert all(0 <= count < 2**31 for count in [*got.usage.values(), *got.prompt_ids])
    assert 100 < read_ones < 5000


ECHOES: dict[str, Callable[[str], Fault | dict[str, Any]]] = {
    "the text": lambda key: completion(f"Your key is {key}. Rating: 6"),
    "half escaped": lambda key: Fault("raw", json.dumps(completion(key)).replace("hostile", r"\u0068ostile").encode()),
    "thoughts": lambda key: completion("6", choices=[{"message": {"content": "6", "reasoning": key}}]),
    "the model": lambda key: completion("6", model=key),
    "the finish reason": lambda key: completion("6", choices=[{"message": {"content": "6"}, "finish_reason": key}]),
    "an error": lambda key: http(400, json.dumps({"error": {"message": f"bad {key}"}}).encode()),
    "an error cut through it": lambda key: http(400, (b"x" * 185 + key.encode())),
    "no JSON": lambda key: Fault("raw", b"y" * 60 + key.encode()),
    "no JSON, escaped": lambda key: Fault("raw", b"<" + key.replace("-", r"\u002d").replace("/", "%2F").encode()),
    "a location": lambda key: http(302, b"", location=f"https://example.org/?k={key}"),
    "a refusal": lambda key: completion("", choices=[{"message": {"content": None, "refusal": key}}]),
}


@pytest.mark.parametrize("where", ECHOES)
def test_a_key_that_an_endpoint_repeats_is_in_no_part_of_the_reply(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTED", KEY + "\n")
    with FaultServer(lambda prompt, nth: ECHOES[where](KEY)) as server:
        (reply,) = ask(server, requests("q"), api_key_env="HOSTED", tries=1)
    assert f"Bearer {KEY}".encode() in server.headers[0]
    assert "hostile" not in repr(reply) and KEY[:12] not in repr(reply)
    assert HIDDEN in repr(reply) or where in ("an error cut through it", "the finish reason"), "one unknown is not kept"


def test_headers_of_the_environment_go_where_its_key_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway-Token: gw-0123456789\nAuthorization: Bearer gw-abcdefghij")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FaultServer() as server:
        ask(server, requests("foreign"))
        ask(server, requests("named"), api_key_env="OPENAI_API_KEY")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        ask(server, requests("home"))
    foreign, named, home = (head.lower() for head in server.headers)
    assert all(word not in foreign for word in (b"gw-", b"org-mine", b"hostile"))
    assert b"gw-0123456789" in named and b"gw-0123456789" in home and b"org-mine" in home


@pytest.mark.parametrize(
    "body", [{"api_key": "abcdef123"}, {"extra": [{"x-api-key": "abcdef123"}]}, {"u": "https://a:b@h"}]
)
def test_a_key_in_the_fields_of_a_call_is_refused_and_not_shown(body: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"holds a key.*api_key_env=NAME") as caught:
        build(ChatSettings, {"extra_body": body}, "--judge openai")
    assert "abcdef123" not in str(caught.value)


def test_fields_that_only_sound_like_keys_are_sent() -> None:
    fields = {"max_tokens": 5, "stop_token_ids": [1], "add_special_tokens": True, "reasoning_effort": "low"}
    with FaultServer() as server:
        assert ask(server, requests("q"), extra_body=fields)[0].text == "reply to q"


def choices(*indices: object) -> bytes:
    return json.dumps({"choices": [{"index": i, "message": {"content": f"text of {i}"}} for i in indices]}).encode()


@pytest.mark.parametrize("indices", [(0, 1), (1, 0), (2, 1, 0), (0,), (None,)])
def test_of_several_choices_the_one_whose_index_is_0_is_read_wherever_it_stands(indices: tuple[object, ...]) -> None:
    assert read(choices(*indices)).text == f"text of {None if indices == (None,) else 0}"


@pytest.mark.parametrize("indices", [(1, 2), (0, 0), (None, None), (False, 1), ("0", "1")])
def test_several_choices_of_which_none_or_several_have_index_0_are_malformed(indices: tuple[object, ...]) -> None:
    with pytest.raises(Malformed, match="there are 2 choices, and none or several are number 0"):
        read(choices(*indices))


@pytest.mark.parametrize(
    ("message", "held"),
    [
        ({"content": None}, "its content is null (finish reason stop)"),
        ({"content": 4}, "its content is int (finish reason stop)"),
        ({"content": []}, "its content is list without a text (finish reason stop)"),
        ({}, "it has no content (finish reason stop)"),
    ],
)
def test_a_message_without_text_says_what_it_holds_and_how_it_ended(message: dict[str, Any], held: str) -> None:
    with pytest.raises(Malformed, match="the message holds no text") as caught:
        read(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    assert held in str(caught.value)
