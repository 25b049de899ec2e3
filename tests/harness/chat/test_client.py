"""The client against a server on loopback that plays the faults of real endpoints."""

from __future__ import annotations

import base64
import io
import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PilImage

from harness.chat.client import ChatClient
from harness.chat.completion import Malformed, read, same_model
from harness.chat.endpoint import parse_endpoint
from harness.chat.prices import Price, cost, load_prices
from harness.chat.request import Caller, ChatReply, ChatRequest
from harness.chat.settings import ChatSettings
from harness.chat.throttle import Throttle, retry_after
from harness.errors import UsageError
from harness.protocols.conversation import Image, Role, Turn
from harness.util.options import build
from tests.harness.fault_server import Fault, FaultServer, completion, http


def png(size: int = 2) -> bytes:
    """A square of noise."""
    out = io.BytesIO()
    PilImage.frombytes("RGB", (size, size), random.Random(0).randbytes(3 * size * size)).save(out, "PNG")
    return out.getvalue()


PNG = png()
QUICK: dict[str, Any] = {"first_wait": 0.002, "longest_wait": 0.01, "tries": 3, "timeout": 30, "concurrency": 8}
SHORT = 1.0
"""Timeout in seconds against a server that never answers; a loaded machine answers the other calls within it."""


def requests(*prompts: str, image: Image | None = None, role: Role = "user", **fields: Any) -> list[ChatRequest]:
    return [ChatRequest((Turn(role, (*((image,) if image else ()), prompt)),), **fields) for prompt in prompts]


def client_of(argument: str, **settings: Any) -> ChatClient:
    """As a judge has it: a client of ``NAME@URL``."""
    caller = Caller("judge", f"--judge openai:{argument}", "judge.")
    return ChatClient(*parse_endpoint(argument, "--judge"), caller, ChatSettings(**{**QUICK, **settings}))


def client_at(server: FaultServer, **settings: Any) -> ChatClient:
    return client_of(f"judge@{server.url}", **settings)


def ask(server: FaultServer, asked: list[ChatRequest], **settings: Any) -> list[ChatReply]:
    replies = dict(client_at(server, **settings).ask(asked))
    assert sorted(replies) == list(range(len(asked)))
    return [replies[i] for i in range(len(asked))]


def test_every_question_gets_its_own_reply_with_model_and_tokens() -> None:
    with FaultServer() as server:
        replies = ask(server, requests(*(f"q{i}" for i in range(50))))
    assert [r.text for r in replies] == [f"reply to q{i}" for i in range(50)]
    assert replies[3] == ChatReply(
        "reply to q3", "judge", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    )
    assert len(server.calls) == 50


def test_messages_images_and_limits_are_sent_as_the_wire_format_has_them() -> None:
    with FaultServer() as server:
        ask(server, requests("p", role="system", temperature=0.2, max_tokens=512, top_p=1.0))
        ask(server, [ChatRequest((Turn("system", ("s",)), Turn("user", (Image(data=PNG), "p"))))])
    first, second = server.calls
    assert first == {
        "model": "judge",
        "messages": [{"role": "system", "content": "p"}],
        "temperature": 0.2,
        "max_tokens": 512,
        "top_p": 1.0,
    }
    assert second["messages"][0] == {"role": "system", "content": "s"}
    picture, text = second["messages"][1]["content"]
    assert text == {"type": "text", "text": "p"}
    assert picture["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert "max_tokens" not in second


FAULTS = {
    "reset": (Fault("reset"), "connection failed"),
    "stall": (Fault("stall"), "no answer within 1 s"),
    "drip": (Fault("drip", b'{"choices": [{"message": {"content": "6"}}]}'), "no answer within 1 s"),
    "500": (http(500), "HTTP 500: no"),
    "html": (Fault("raw", b"<html>busy</html>", content_type="text/html"), "not JSON: '<html>busy"),
    "html error": (http(502, b"<html>bad\ngateway</html>"), "HTTP 502: <html>bad gateway"),
    "truncated": (Fault("raw", b'{"choices": [{"message": {"content": "Rating: 6'), "not JSON"),
    "empty body": (Fault("raw", b""), "it is empty"),
    "random bytes": (Fault("raw", bytes(range(128, 256))), "not JSON"),
    "a list": (Fault("raw", b"[]"), "not a JSON object"),
    "no choices": (Fault("raw", b'{"model": "judge", "choices": []}'), "the list of choices is empty"),
    "error in 200": (Fault("raw", b'{"error": {"message": "overloaded"}}'), "overloaded"),
    "no parts": (Fault("raw", b'{"model": "judge", "choices": [{"message": {"content": []}}]}'), "holds no text"),
    "an unknown part": (
        Fault("raw", b'{"model": "judge", "choices": [{"message": {"content": [{"type": "thinking"}]}}]}'),
        "holds no text",
    ),
    "no text": (Fault("raw", b'{"model": "judge", "choices": [{"message": {}}]}'), "holds no text: it has no content"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_lasts_becomes_an_error_reply_after_bounded_tries(name: str) -> None:
    fault, reason = FAULTS[name]
    with FaultServer(lambda prompt, nth: fault if prompt == "bad" else "fine") as server:
        bad, good = ask(server, requests("bad", "good"), **({"timeout": SHORT} if name in ("stall", "drip") else {}))
    assert bad.text is None
    assert reason in (bad.error or "")
    assert "(asked 3 times)" in (bad.error or "")
    assert good.text == "fine"
    assert server.seen == {"bad": 3, "good": 1}


def test_a_fault_that_passes_costs_another_try_and_no_reply() -> None:
    faults = [fault for fault, _ in FAULTS.values()]
    play = lambda prompt, nth: faults[int(prompt)] if nth == 0 else "now"
    with FaultServer(play) as server:
        replies = ask(server, requests(*map(str, range(len(faults)))), timeout=SHORT)
    assert {reply.text for reply in replies} == {"now"}
    assert set(server.seen.values()) == {2}


def test_an_endpoint_that_is_not_there_is_an_error_reply() -> None:
    ((_, reply),) = client_of("judge@http://127.0.0.1:9/v1").ask(requests("q"))
    assert reply.text is None
    assert "connection failed" in (reply.error or "")


@pytest.mark.parametrize("status", [400, 403, 422])
def test_a_rejected_question_is_not_asked_again_and_the_others_go_on(status: int) -> None:
    with FaultServer(lambda prompt, nth: http(status) if prompt == "bad" else "fine") as server:
        bad, good = ask(server, requests("bad", "good"), concurrency=1)
    assert (bad.text, bad.error) == (None, f"HTTP {status}: no")
    assert good.text == "fine"
    assert server.seen["bad"] == 1


@pytest.mark.parametrize(
    "fault", [http(401), http(404), http(429, b'{"error": {"message": "pay", "code": "insufficient_quota"}}')]
)
def test_a_hopeless_error_ends_the_asking(fault: Fault) -> None:
    with FaultServer(lambda prompt, nth: fault) as server:
        replies = ask(server, requests(*map(str, range(40))), concurrency=2)
    assert all(reply.text is None and reply.error for reply in replies)
    assert len(server.calls) <= 2


def test_many_failures_in_a_row_end_the_asking() -> None:
    with FaultServer(lambda prompt, nth: http(500)) as server:
        replies = ask(server, requests(*map(str, range(100))), tries=2, give_up=5, concurrency=1)
    assert len(server.calls) == 10
    assert replies[-1].error == "not asked: 5 in a row failed, last: HTTP 500: no"


def test_what_stopped_one_benchmark_does_not_stop_the_next() -> None:
    """One judge serves all benchmarks of a command."""
    with FaultServer(lambda prompt, nth: http(400) if prompt == "bad" else "fine") as server:
        client = client_at(server, give_up=3, concurrency=1)
        replies = [reply for _, reply in client.ask(requests(*["bad"] * 9))]
        assert server.seen["bad"] == 3 and "not asked" in (replies[-1].error or "")
        assert [reply.text for _, reply in client.ask(requests("good"))] == ["fine"]


@pytest.mark.parametrize("header", ["retry-after", "retry-after-ms"])
def test_a_rate_limit_is_waited_out_by_all_as_long_as_the_server_asks(header: str) -> None:
    pause = 0.4
    began = time.monotonic()
    times: list[tuple[float, bool]] = []

    def play(prompt: str, nth: int) -> str | Fault:
        limited = not times
        times.append((time.monotonic() - began, limited))
        value = str(pause if header == "retry-after" else pause * 1000)
        return Fault("raw", b"{}", 429, {header: value}) if limited else "fine"

    with FaultServer(play) as server:
        replies = ask(server, requests(*map(str, range(12))), concurrency=1)
    assert {reply.text for reply in replies} == {"fine"}
    (limited_at, _), *later = times
    assert min(at for at, _ in later) >= limited_at + pause * 0.95


def test_concurrency_falls_to_what_the_endpoint_bears_and_every_question_is_answered() -> None:
    bears = 4
    with FaultServer(latency=0.01) as server:
        server._play = lambda prompt, nth: http(429) if server.active > bears else "fine"
        replies = ask(server, requests(*map(str, range(200))), concurrency=32, waits=100)
        refused = len(server.calls) - 200
    assert {reply.text for reply in replies} == {"fine"}
    assert refused < 150  # a judge that kept 32 in flight would be refused seven times of eight


def test_a_rate_limit_that_lasts_and_a_pause_too_long_end_as_error_replies() -> None:
    with FaultServer(lambda prompt, nth: http(429)) as server:
        (reply,) = ask(server, requests("q"), waits=4)
    assert (reply.error, len(server.calls)) == ("HTTP 429: no (asked 4 times)", 4)
    with FaultServer(lambda prompt, nth: http(429, retry_after="86400")) as server:
        replies = ask(server, requests("a", "b"), concurrency=1)
    assert all("asked to wait 86400 s" in (reply.error or "") for reply in replies)
    assert len(server.calls) == 1


@pytest.mark.parametrize("name", ["other", "judge-mini", "judg", "", "Judge-0613"])
def test_a_reply_of_another_model_is_refused_unless_allowed(name: str) -> None:
    play = lambda prompt, nth: completion("6", model=name)
    with FaultServer(play) as server:
        (refused,) = ask(server, requests("q"))
        (allowed,) = ask(server, requests("q"), allow_other_model=True)
    assert refused.text is None
    assert "asked for model 'judge'" in (refused.error or "")
    assert (refused.model, refused.usage["reply"], refused.usage["completion_tokens"]) == (name, "6", 5)
    assert (allowed.text, allowed.model) == ("6", name)
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    ("asked", "returned", "same"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-2024-11-20", True),
        ("gpt-4", "gpt-4-0613", True),
        ("claude-x", "claude-x-20250101", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4", "gpt-4-1106-preview", False),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-11-20", False),
        ("gpt-4o-2024-05-13", "gpt-4o", False),
    ],
)
def test_a_dated_release_is_the_same_model(asked: str, returned: str, same: bool) -> None:
    assert same_model(asked, returned) is same


def test_a_refusal_is_an_error_reply_asked_once() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    play = lambda prompt, nth: completion("", choices=[{"message": message, "finish_reason": "stop"}])
    with FaultServer(play) as server:
        (reply,) = ask(server, requests("q"))
    assert (reply.text, reply.error) == (None, "the judge refused: I will not.")
    assert reply.usage["prompt_tokens"] == 10
    assert len(server.calls) == 1


REFUSALS = {
    "Unrecognized request argument supplied: max_tokens": ("max_tokens", 400),
    "this model does not support MaxTokens, please use MaxCompletionTokens instead": ("max_tokens", 400),
    "please use MaxCompletionTokens instead": ("max_tokens", 400),
    "invalid temperature: only 1 is allowed for this model": ("temperature", 400),
    "`temperature` (=0.0) has to be a strictly positive float": ("temperature", 422),
    '[{"type":"extra_forbidden","loc":["body","temperature"],"msg":"Extra inputs are not permitted"}]': (
        "temperature",
        422,
    ),
}


@pytest.mark.parametrize("message", REFUSALS)
def test_a_parameter_that_is_refused_is_sent_otherwise_however_the_refusal_is_worded(message: str) -> None:
    name, status = REFUSALS[message]

    def play(prompt: str, nth: int) -> str | Fault:
        return http(status, said(message)) if name in server.calls[-1] else "fine"

    with FaultServer(play) as server:
        (reply,) = ask(server, requests("q", max_tokens=9))
    assert (reply.text, len(server.calls)) == ("fine", 2)
    assert server.calls[1].get("max_completion_tokens") == (9 if name == "max_tokens" else None)
    assert any(name in note for note in reply.usage["adapted"])


def said(message: str) -> bytes:
    """As FastAPI says it, and as the others do."""
    listed = message.startswith("[")
    return json.dumps({"detail": json.loads(message)} if listed else {"error": {"message": message}}).encode()


@pytest.mark.parametrize(("counted", "cut"), [(2050, True), (2501, False), (10, False), (None, False)])
def test_a_prompt_of_which_the_endpoint_counts_too_few_tokens_is_noted_as_cut(counted: int | None, cut: bool) -> None:
    """Of 20,000 characters: Ollama with 4096 tokens of context keeps and counts 2050; some count what is new alone."""
    usage = None if counted is None else {"prompt_tokens": counted, "completion_tokens": 5}
    with FaultServer(lambda prompt, nth: completion("fine", usage=usage)) as server:
        (reply,) = ask(server, requests("word " * 4000))
    assert any("OLLAMA_CONTEXT_LENGTH" in note for note in reply.usage.get("adapted", [])) is cut


def test_a_refusal_that_nothing_is_learned_from_names_what_can_be_done() -> None:
    with FaultServer(lambda prompt, nth: http(400, said(prompt))) as server:
        asked = requests("top_p must be in (0, 1], got 0", "The prompt is too long", top_p=0.0)
        turns = (Turn("system", ("s",)), Turn("user", ("System role not supported",)))
        parameter, other, system = ask(server, [*asked, ChatRequest(turns)])
    assert (parameter.error or "").endswith("; top_p is left out with --set judge.extra_body='{top_p: null}'")
    assert other.error == "HTTP 400: The prompt is too long"
    assert "takes no system message: ask without or" in (system.error or "")


def test_parts_of_a_content_may_be_texts_by_themselves() -> None:
    with FaultServer(lambda prompt, nth: completion(["Rating: ", {"type": "text", "text": "4"}])) as server:
        (reply,) = ask(server, requests("q"))
    assert reply.text == "Rating: 4"


def test_half_a_surrogate_pair_travels_neither_way() -> None:
    with FaultServer(
        lambda prompt, nth: Fault("raw", rb'{"model":"judge","choices":[{"message":{"content":"a\ud800"}}]}')
    ) as server:
        (reply,) = ask(server, requests("b\udc00"))
    assert reply.text == "a?"
    assert server.calls[0]["messages"][0]["content"] == "b?"


def test_tokens_of_failed_tries_are_counted_and_missing_counts_are_estimated() -> None:
    def play(prompt: str, nth: int) -> dict[str, Any]:
        return completion("fine", usage=None) if prompt == "uncounted" else completion(None if nth == 0 else "fine")

    with FaultServer(play) as server:
        client = client_at(server)
        counted, uncounted = (reply for _, reply in sorted(client.ask(requests("q", "uncounted", max_tokens=20))))
    assert counted.usage == {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    assert uncounted.usage == {"prompt_tokens": 19, "completion_tokens": 20, "estimated": True}
    assert client.account.tokens == {"prompt_tokens": 39, "completion_tokens": 30}


def test_the_budget_ends_the_asking_before_it_is_overspent(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("judge: {input: 0, output: 1000000}")  # 1 USD a completion token: 5 USD a reply
    with FaultServer() as server:
        client = client_at(server, budget=22, prices=str(prices))
        replies = [reply for _, reply in client.ask(requests(*map(str, range(50)), max_tokens=5))]
        again = [reply for _, reply in client.ask(requests("later", max_tokens=5))]
    assert sum(reply.text is not None for reply in replies) == 4
    assert client.account.spent == pytest.approx(20.0)
    assert len(server.calls) == 4
    assert {reply.error for reply in replies + again} == {
        None,
        "budget: $20.0000 of $22 spent, the next call may take $5.0000",
    }


def test_money_is_tokens_times_the_price_table_with_the_users_rows_on_top(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000}
    assert cost(usage, "gpt-4o-2024-11-20") == pytest.approx(2.5 + 5.0)
    assert cost(usage, "openai/gpt-4o-mini") == pytest.approx(0.15 + 0.3)
    assert cost(usage, "unknown") is None
    path = tmp_path / "prices.yaml"
    path.write_text("mine: {input: 1, output: 2}\ngpt-4o: {input: 0, output: 0}")
    table = load_prices(path)
    assert table["mine"] == Price(1.0, 2.0)
    assert cost(usage, "gpt-4o", table) == 0.0
    path.write_text("mine: 3")
    with pytest.raises(UsageError, match=r"mine: expected \{input: X, output: Y\}"):
        load_prices(path)


def test_a_budget_without_a_price_and_a_key_that_is_missing_are_usage_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=r"^--judge openai:gpt-4o: set OPENAI_API_KEY to the key for https"):
        client_of("gpt-4o").check()
    with pytest.raises(UsageError, match="set OPENAI_API_KEY"):
        next(client_of("gpt-4o").ask(requests("q")))
    with pytest.raises(
        UsageError, match=r"^--judge openai:nameless: a budget needs the price of nameless.*judge\.prices"
    ):
        client_of("nameless", budget=1.0)


def test_endpoint_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        client = client_of("judge")
        assert client.url == server.url
        ((_, reply),) = client.ask(requests("q"))
    assert reply.text == "reply to q"
    assert b"Bearer secret" in server.headers[0]


def test_replies_come_in_order_of_arrival_and_one_by_one() -> None:
    gate = threading.Event()
    with FaultServer(
        lambda prompt, nth: Fault("stall") if prompt == "slow" and not gate.is_set() else "fine"
    ) as server:
        arriving = client_at(server, timeout=SHORT).ask(requests("slow", "a", "b"))
        first, second = next(arriving)[0], next(arriving)[0]
        gate.set()
        assert {first, second} == {1, 2}
        assert next(arriving)[0] == 0


def test_leaving_the_iteration_cancels_what_is_in_flight() -> None:
    with FaultServer(lambda prompt, nth: "fine" if prompt == "0" else Fault("stall")) as server:
        arriving = client_at(server, timeout=60).ask(requests(*map(str, range(30))))
        assert next(arriving)[0] == 0
        assert "chat" in {thread.name for thread in threading.enumerate()}
        began = time.monotonic()
        arriving.close()
        assert time.monotonic() - began < 10
        assert "chat" not in {thread.name for thread in threading.enumerate()}
        asked = len(server.calls)
        time.sleep(0.1)
        assert len(server.calls) == asked < 30


def test_a_slow_caller_holds_the_endpoint_back() -> None:
    with FaultServer() as server:
        arriving = client_at(server, concurrency=4).ask(requests(*map(str, range(200))))
        next(arriving)
        time.sleep(0.5)
        assert len(server.calls) <= 1 + 3 * 4 + 4
        assert sum(1 for _ in arriving) == 199


def cut_tiff() -> bytes:
    """A transparent TIFF, which has to be decoded to be shown, without its end."""
    out = io.BytesIO()
    PilImage.new("RGBA", (64, 64), (1, 2, 3, 4)).save(out, "TIFF")
    return out.getvalue()[:400]


@pytest.mark.parametrize(
    "image",
    [Image(path=Path("absent.png")), Image(data=cut_tiff()), Image(data=png(64)[:-200]), Image(path=Path(__file__))],
    ids=["absent", "cut", "cut in its end", "a text"],
)
def test_an_image_that_cannot_be_read_is_an_error_reply_and_the_others_are_asked(image: Image) -> None:
    with FaultServer() as server:
        bad, good = ask(server, [*requests("q", image=image), *requests("r")])
    assert "the image cannot be read" in (bad.error or "")
    assert good.text == "reply to r"
    assert [call["messages"][0]["content"] for call in server.calls] == ["r"], "nothing of the other is sent"


def test_no_bytes_whatever_are_read_as_a_completion() -> None:
    random_ = random.Random(0)
    good = b'{"model": "m", "choices": [{"message": {"content": "6"}}]}'
    bodies: list[bytes] = [good[:n] for n in range(len(good))]
    bodies += [random_.randbytes(random_.randrange(60)) for _ in range(500)]
    bodies += [
        b"[" * 100_000,
        b'{"choices": {"0": 1}}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": {"content": 6}}]}',
    ]
    for content in bodies:
        with pytest.raises(Malformed):
            read(content)
    assert read(good).text == "6"


def test_retry_after_is_read_in_all_its_forms() -> None:
    forms: list[tuple[dict[str, str], Callable[[float | None], bool]]] = [
        ({"retry-after": "2"}, lambda s: s == 2),
        ({"retry-after": "0.5"}, lambda s: s == 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, lambda s: s == 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, lambda s: s == 0),
        ({"retry-after": "Wed, 21 Oct 2135 07:28:00 GMT"}, lambda s: s is not None and s > 1e9),
        ({"retry-after": "soon"}, lambda s: s is None),
        ({"retry-after": "-3"}, lambda s: s is None),
        ({}, lambda s: s is None),
    ]
    for headers, expected in forms:
        assert expected(retry_after(headers)), headers


def test_the_throttle_halves_once_for_calls_of_one_round_and_widens_by_one_a_round() -> None:
    throttle = Throttle(16)
    now = time.monotonic()
    throttle.rate_limited(now, 0.0)
    throttle.rate_limited(now - 1, 0.0)
    assert throttle.width == 8
    for _ in range(8):
        throttle.succeeded()
    assert throttle.width == pytest.approx(8.95, abs=0.1)


def test_messages_name_who_refused_and_what_the_user_typed() -> None:
    message = {"role": "assistant", "content": None, "refusal": "no"}
    refusing = lambda prompt, nth: completion("", choices=[{"message": message, "finish_reason": "stop"}])
    for caller in (Caller("model", "--model openai:m", "model."), Caller("judge", "--judge openai:m", "judge.")):
        with FaultServer(refusing) as server:
            ((_, reply),) = ChatClient("m", server.url, caller, ChatSettings(allow_other_model=True)).ask(requests("q"))
            ((_, other),) = ChatClient("m", server.url, caller, ChatSettings()).ask(requests("q"))
        assert reply.error == f"the {caller.role} refused: no"
        assert f"--set {caller.prefix}allow_other_model=true" in (other.error or "")


@pytest.mark.parametrize(("name", "value"), [("concurrency", 0), ("tries", 0), ("budget", -1.0), ("first_wait", -0.1)])
def test_a_setting_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name}={value}: expected"):
        build(ChatSettings, {name: value}, "--judge openai")
