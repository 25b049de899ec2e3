"""Judges as they are served today, each played by a server: no score is invented, no question wasted twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cases.running import QUICK, answers, figures, judge_at, mmhal, said, score, settings
from tests.harness.chat.test_personalities import bad, choice, chunk, gpt5, stream
from tests.harness.fault_server import Fault, FaultServer, completion

Body = dict[str, Any]
Said = str | Fault | Body
GOOD = "Analysis: fine.\nRating: 4"
DRAFT = "The scale is 0 to 6. One could say Rating: 2."
QUESTIONS = 6


def spent(text: str | None) -> Body:
    """A reply whose tokens all went into thoughts that are not shown (OpenAI, and routers to it)."""
    usage = {"prompt_tokens": 10, "completion_tokens": 512, "completion_tokens_details": {"reasoning_tokens": 512}}
    return {**choice(text, "length"), "usage": usage}


def once(fault: Said, then: Said = GOOD) -> Callable[[Body, int], Said]:
    return lambda body, nth: fault if nth == 0 else then


def azure(head: bytes) -> Said:
    """A deployment of Azure OpenAI: the version in the query, the key in its own header and in no other."""
    first, lowered = head.split(b"\r\n")[0], head.lower()
    if b"/openai/deployments/my-4o/chat/completions?api-version=2024-10-21 " not in first:
        return bad(404, "Resource not found", "404")
    if b"api-key: azure-secret" not in lowered or b"authorization:" in lowered:
        return bad(401, "Access denied due to invalid subscription key or wrong API endpoint.", "401")
    return completion(GOOD, model="gpt-4o-2024-08-06")


@dataclass(frozen=True)
class Served:
    """How a judge answers the ``nth`` call about a question; ``scored`` of all, with ``wasted`` more calls."""

    answers: Callable[[Body, int], Said]
    scored: int = QUESTIONS
    wasted: int = 0


TODAY = {
    "GPT-5: max_tokens and temperature refused": Served(lambda body, nth: gpt5(body), wasted=2),
    "GPT-5: all tokens spent on hidden thoughts": Served(lambda body, nth: spent(""), scored=0),
    "OpenRouter: the same with null content": Served(lambda body, nth: spent(None), scored=0),
    "OpenRouter: null content, once": Served(once(choice(None)), wasted=QUESTIONS),
    "OpenRouter: a provider's error in a 200, once": Served(
        once({"error": {"message": "Provider returned error: Rating: 2", "code": 502}}), wasted=QUESTIONS
    ),
    "OpenRouter: broken off with an error beside the text, once": Served(
        once(completion("", choices=[{"message": {"content": "Rating: 2"}, "error": {"code": 502, "message": "x"}}])),
        wasted=QUESTIONS,
    ),
    "vLLM: thoughts apart": Served(lambda body, nth: choice(GOOD, reasoning_content=DRAFT)),
    "vLLM: thoughts apart and no text": Served(
        lambda body, nth: choice(None, "length", reasoning_content=DRAFT), scored=0
    ),
    "vLLM: guided JSON": Served(lambda body, nth: '{"analysis": "It says Rating: 2.", "rating": 4}'),
    "vLLM: the whole text taken for thoughts": Served(
        lambda body, nth: choice(None, reasoning_content=f"{DRAFT}\n{GOOD}"), scored=0
    ),
    "the end token in the text": Served(lambda body, nth: f"{GOOD}<|im_end|>"),
    "turns that it made up after its own": Served(
        lambda body, nth: f"{GOOD}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nAnd this one?\nRating: 1"
    ),
    "a stream that nobody asked for": Served(lambda body, nth: stream(chunk({"content": GOOD}), chunk({}, "stop"))),
    "a stream that ends before its text, once": Served(
        once(stream(chunk({"content": "Rating: 2"}), end="")), wasted=QUESTIONS
    ),
    "thoughts in the text": Served(lambda body, nth: f"<think>{DRAFT}</think>\n\n{GOOD}"),
    "thoughts in the text, cut": Served(lambda body, nth: choice(f"<think>{DRAFT}", "length"), scored=0),
    "a fence around JSON": Served(lambda body, nth: '```json\n{"rating": 4.0}\n```'),
    "a quotation before the rating is missing, once": Served(
        lambda body, nth: GOOD if "could not be read" in str(body["messages"]) else "It contained the line\nRating: 6",
        wasted=QUESTIONS,
    ),
}


@pytest.mark.parametrize("name", TODAY)
def test_a_judge_of_today_scores_what_it_rates_and_nothing_else(name: str, tmp_path: Path) -> None:
    kind = TODAY[name]
    with FaultServer(lambda prompt, nth: kind.answers(server.calls[-1], nth)) as server:
        judge = judge_at(server, "judge", "concurrency=1")
        found = figures(score("mmhal", mmhal(tmp_path / "d"), judge, code=0 if kind.scored else 3))
    rated = found["metrics"]["score"]["value"]
    assert (found["n_scored"], rated) == (kind.scored, 4.0 if kind.scored else None)
    assert found["n_failed"] == QUESTIONS - kind.scored
    assert len(server.calls) == QUESTIONS + kind.wasted


def test_a_judge_that_is_asked_for_streams_is_the_judge_that_it_was(tmp_path: Path) -> None:
    data = mmhal(tmp_path / "d")
    with FaultServer(lambda prompt, nth: stream(chunk({"content": GOOD}), chunk({}, "stop"))) as server:
        found = [
            figures(score("mmhal", data, judge_at(server, "judge", *more)))
            for more in ((), ("extra_body={stream: true, stream_options: {include_usage: true}}",))
        ]
        asked = len(server.calls)
        other = figures(score("mmhal", data, judge_at(server, "judge", "extra_body={stream: true, seed: 1}")))
    assert {each["judge"] for each in found} == {"openai:judge"} and asked == QUESTIONS
    assert other["judge"] == 'openai:judge {"seed": 1}' and server.calls[-1]["stream"] is True


def test_a_prompt_that_the_judges_server_cuts_is_said_and_recorded(tmp_path: Path) -> None:
    data = mmhal(tmp_path / "d", 1)
    answers(data, {"0": "It shows a lamp. " * 2000})
    with FaultServer(lambda prompt, nth: completion(GOOD, usage={"prompt_tokens": 2050})) as server:
        result = score("mmhal", data, judge_at(server))
    assert figures(result)["n_scored"] == 1
    assert "not sent to the judge as the protocol has it: the endpoint counts fewer tokens" in said(result)


@pytest.mark.parametrize(("named", "scored"), [("gpt-4o", QUESTIONS), ("my-4o", QUESTIONS), ("gpt-4-turbo", 0)])
def test_a_deployment_of_azure_is_asked_at_its_url_with_its_version_and_its_key_in_its_header(
    named: str, scored: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment's name is no model's, so that the model is the one that it returns; a model's name is checked."""
    monkeypatch.setenv("AZURE_KEY_OF_MINE", "azure-secret")
    with FaultServer(lambda prompt, nth: azure(server.headers[-1])) as server:
        url = server.url.removesuffix("/v1") + "/openai/deployments/my-4o?api-version=2024-10-21"
        more = settings(*(f"judge.{each}" for each in (*QUICK, "api_key_env=AZURE_KEY_OF_MINE")))
        words = ["--judge", f"openai:{named}@{url}", *more]
        result = score("mmhal", mmhal(tmp_path / "d"), words, code=0 if scored else 3)
    found = figures(result)
    assert (found["n_scored"], found["metrics"]["score"]["value"]) == (scored, 4.0 if scored else None)
    assert len(server.calls) == QUESTIONS
    assert found["judge"] == ("openai:gpt-4o-2024-08-06" if scored else f"openai:{named}")
    assert "azure-secret" not in result.output + said(result)
