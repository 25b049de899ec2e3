"""The probe of an endpoint: what it counts is what is counted here, and an image that does not arrive is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aligners.pairs.probing import encoded
from harness.chat.request import ChatReply
from harness.models.families import VICUNA
from harness.models.probe_served import _unanswered
from harness.models.spec import load_model
from harness.protocols.probe import Probe
from tests.harness.fault_server import Fault, FaultServer, http
from tests.harness.template_server import Refused, TemplateServer
from tests.tiny_llava import save_tiny_llava

SPECIAL = {"extra_body": {"add_special_tokens": True}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokeniser adds the BOS that its template does not write, like LLaVA-1.5."""
    saved = save_tiny_llava(tmp_path_factory.mktemp("probed"))
    (saved / "chat_template.jinja").write_text(VICUNA)
    return saved


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[TemplateServer]:
    with TemplateServer(folder) as running:
        yield running


def probe(server: TemplateServer, **settings: Any) -> Probe:
    found = load_model(f"openai:served@{server.url}", settings=settings).probe(encoded)
    assert found is not None
    return found


def states(found: Probe) -> dict[str, str]:
    return {check.name: check.state for check in found.checks}


def test_an_endpoint_whose_prompt_is_the_trained_one_passes(server: TemplateServer, folder: Path) -> None:
    found = probe(server, processor=str(folder), **SPECIAL)
    assert states(found) == {"prompt": "ok", "server": "ok", "image": "ok"}
    assert found.tokens["training"] == found.tokens["generation"] == found.tokens["server"] and found.image_tokens == 4
    assert found.prompt.startswith("<s>USER: [4 x <image>]\nWhat do you see") and found.end == "</s>"
    assert len(server.calls) == 2 and {call["max_tokens"] for call in server.calls} == {16}


def test_a_begin_token_that_the_endpoint_leaves_out_is_named_with_its_remedy(
    server: TemplateServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = probe(server, processor=str(folder)).of_state("bad")
    assert "they part at token 0: '<s> U S' in generation, 'U S E' at the endpoint; it may leave out '<s>'" in fault
    strict = counting_only(server, monkeypatch)
    (fault,) = probe(server, processor=str(folder)).of_state("bad")
    assert strict, "it refused the field that it does not know, and was asked without"
    here = probe(server, processor=str(folder), **SPECIAL).tokens["server"]
    assert fault.startswith(f"the endpoint counts {here - 1} prompt tokens where there are {here} here: ")
    assert "against" in fault and "leave out '<s>'" in fault and "add_special_tokens: true" in fault


def counting_only(server: TemplateServer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The server refuses a field that it does not know, as OpenAI's own does; returns what it refused."""
    complete, refused = server.complete, list[Any]()

    def strict(call: dict[str, Any]) -> dict[str, Any]:
        if "return_token_ids" in call:
            refused.append(call)
            raise Refused(400, "Unknown parameter: 'return_token_ids'.")
        return complete(call)

    monkeypatch.setattr(server, "complete", strict)
    return refused


def test_without_a_processor_the_prompt_is_not_compared_but_the_image_is(
    server: TemplateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "served" / "logs").mkdir(parents=True)  # a folder of that name which is no model's
    monkeypatch.chdir(tmp_path)
    assert states(probe(server)) == {"server": "note", "image": "ok"}


def blind(call: dict[str, Any]) -> dict[str, Any]:
    """The call without its images."""
    turns = [{**turn, "content": [p for p in parts(turn) if p["type"] == "text"]} for turn in call["messages"]]
    return {**call, "messages": turns}


def parts(turn: dict[str, Any]) -> list[dict[str, Any]]:
    content = turn["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def uncounted(completion: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in completion.items() if name != "usage"}


def refusing(call: dict[str, Any]) -> dict[str, Any]:
    if len(parts(call["messages"][-1])) > 1:
        raise Refused(400, "At most 0 image(s) may be provided in one prompt.")
    return call


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("before", "after", "expected", "said"),
    [
        (blind, dict, {"server": "note", "image": "bad"}, "the image does not reach the model"),
        (dict, uncounted, {"server": "note", "image": "ok"}, "the answer is another one with an image"),
        (blind, uncounted, {"server": "note", "image": "note"}, "says nothing by which to see"),
        (refusing, dict, {"image": "bad"}, "HTTP 400: At most 0 image(s)"),
    ],
)
def test_an_image_that_does_not_arrive_is_a_fault_and_what_cannot_be_seen_is_said(
    server: TemplateServer, monkeypatch: pytest.MonkeyPatch, before: Change, after: Change, expected: Any, said: str
) -> None:
    complete = server.complete
    monkeypatch.setattr(server, "complete", lambda call: after(complete(before(call))))
    found = probe(server)
    assert states(found) == expected and said in " ".join(check.detail for check in found.checks)


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_an_endpoint_that_answers_nothing_is_a_fault_and_one_that_is_busy_is_not(status: int) -> None:
    with FaultServer(lambda prompt, nth: http(status)) as server:
        quick = {"tries": 1, "waits": 1, "first_wait": 0.01}
        found = load_model(f"openai:served@{server.url}", settings=quick).probe(None)
    assert found is not None and not found.complete
    assert found.state == ("bad" if status < 429 else "ok")
    assert f"HTTP {status}" in found.checks[0].detail


@pytest.mark.parametrize("statuses", [(401, 401), (401, 0), (0, 401)])
def test_of_two_calls_the_second_may_not_have_been_sent_where_the_first_was_refused(statuses: tuple[int, int]) -> None:
    replies = [ChatReply(None, "", error=f"HTTP {status}", status=status, outcome="down") for status in statuses]
    check = _unanswered(*replies)
    assert (check.state, check.detail) == ("bad", "the endpoint answers nothing: HTTP 401")


def test_a_rate_limit_of_the_call_with_the_image_is_no_refusal_of_images() -> None:
    def play(prompt: str, nth: int) -> str | Fault:
        return http(429) if isinstance(busy.calls[-1]["messages"][-1]["content"], list) else "I see nothing."

    with FaultServer(play) as busy:
        found = load_model(f"openai:served@{busy.url}", settings={"waits": 1, "first_wait": 0.01}).probe(None)
    assert found is not None and not found.complete and found.of_state("bad") == []


def test_an_endpoint_that_does_not_answer_is_probed_again_later() -> None:
    gone = load_model("openai:served@http://127.0.0.1:9/v1", settings={"tries": 1}).probe(None)
    assert gone is not None and not gone.complete and not gone.of_state("bad")
    assert "connection failed" in gone.of_state("note")[0]
