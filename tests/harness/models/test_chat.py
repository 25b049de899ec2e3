"""A model behind an OpenAI-compatible endpoint, served here by a few lines of http.server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from harness.errors import UsageError
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Image
from tests.harness.fault_server import Fault, FaultServer, completion, http
from tests.tiny import picture

PNG = picture(1)


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(call)
            content = call["messages"][0]["content"]
            text = content if isinstance(content, str) else content[-1]["text"]
            message = {"role": "assistant", "content": f"You asked: {text}"}
            reply = {
                "model": call["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
            }
            data = json.dumps(reply).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", seen
    server.shutdown()
    server.server_close()


def test_samples_are_asked_with_image_and_decoding(endpoint: tuple[str, list[dict[str, Any]]]) -> None:
    url, seen = endpoint
    model = load_model(f"openai:llava@{url}")
    samples = [Sample("a", "One?", Image(data=PNG)), Sample("b", "Two?")]
    found = dict(model.generate(samples, Decoding(max_new_tokens=7)))
    assert [(found[i].text, found[i].tokens) for i in (0, 1)] == [("You asked: One?", 3), ("You asked: Two?", 3)]
    assert {(call["model"], call["max_tokens"], call["temperature"]) for call in seen} == {("llava", 7, 0.0)}
    pictured = next(call for call in seen if not isinstance(call["messages"][0]["content"], str))
    assert pictured["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")


def test_an_unreadable_image_is_an_error_and_the_rest_go_on(
    endpoint: tuple[str, list[dict[str, Any]]], tmp_path: Any
) -> None:
    model = load_model(f"openai:llava@{endpoint[0]}")
    samples = [Sample("a", "One?", Image(path=tmp_path / "none.png")), Sample("b", "Two?")]
    found = dict(model.generate(samples, Decoding()))
    assert found[0].text is None and "none.png" in (found[0].error or "")
    assert found[1].text == "You asked: Two?"


def test_a_decoding_the_endpoint_cannot_do_is_refused_before_any_call(
    endpoint: tuple[str, list[dict[str, Any]]],
) -> None:
    model = load_model(f"openai:llava@{endpoint[0]}")
    with pytest.raises(UsageError, match="num_beams=3"):
        list(model.generate([Sample("a", "One?")], Decoding(num_beams=3)))
    assert endpoint[1] == []


def test_messages_name_the_model_as_the_user_typed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(
        UsageError, match=r"^--model openai:llava@https://api.example.org/v1: no key for .*model.api_key_env"
    ):
        load_model("openai:llava@https://api.example.org/v1")
    with pytest.raises(
        UsageError, match=r"^--model openai:llava@http.*: tries=0: expected a whole number of at least 1"
    ):
        load_model("openai:llava@http://127.0.0.1:1/v1", settings={"tries": 0})
    with pytest.raises(UsageError, match=r"^--model openai:llava@http://h:port/v1: expected openai:NAME"):
        load_model("openai:llava@http://h:port/v1")


def test_what_is_not_sent_as_asked_where_an_answer_was_cut_and_its_thoughts_come_with_it() -> None:
    refusal = {
        "message": "Only the default (1) value is supported.",
        "param": "temperature",
        "code": "unsupported_value",
    }
    message = {"role": "assistant", "content": " A dog", "reasoning": "hm"}

    def play(prompt: str, nth: int) -> Fault | dict[str, Any]:
        if "temperature" in server.calls[-1]:
            return http(400, json.dumps({"error": refusal}).encode())
        return completion("", "m", choices=[{"message": message, "finish_reason": "length"}])

    with FaultServer(play) as server:
        model = load_model(f"openai:m@{server.url}", settings={"concurrency": 1})
        answers = [answer for _, answer in model.generate([Sample("a", "One?"), Sample("b", "Two?")], Decoding())]
    assert len(server.calls) == 3
    for answer in answers:
        assert (answer.text, answer.cut, answer.reasoning) == ("A dog", True, "hm")
        assert answer.adapted == ("temperature is left to the endpoint, which refuses 0",)
