"""Judges behind endpoints of each kind, from `score` to the figures: a reply is read as it was meant, or is none."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from tests.benchmarks.conftest import write_json
from tests.benchmarks.test_llava_bench import question, write_data
from tests.cases.running import answers, figures, judge_at, mmhal, said, score
from tests.harness.chat.test_personalities import choice, gpt5
from tests.harness.fault_server import Fault, FaultServer, completion

DRAFT = "<think>The scale is 0 to 6. One could say Rating: 2, or 0.3, or 3 4.</think>\n\n"
GOOD = "Analysis: fine.\nRating: 4"


def test_a_judge_that_refuses_max_tokens_and_temperature_scores_and_the_record_says_what_was_sent(
    tmp_path: Path,
) -> None:
    with FaultServer(lambda prompt, nth: gpt5(server.calls[-1])) as server:
        result = score("mmhal", mmhal(tmp_path / "d"), judge_at(server, "judge", "concurrency=1"))
    found = figures(result)
    assert (found["n_scored"], found["metrics"]["score"]["value"]) == (6, 4.0)
    assert len(server.calls) == 2 + 6, "what it refuses is learned once"
    assert "max_tokens is sent as max_completion_tokens" in said(result)
    assert "temperature is left to the endpoint, which refuses 0" in said(result)
    assert "temperature" in str(Store(tmp_path / "d/r.sqlite").evaluations()[-1].info["notes"])


def test_a_url_with_another_query_is_refused_and_azures_forms_named(tmp_path: Path) -> None:
    url = "https://r.openai.azure.com/openai/deployments/my-gpt4o?api-version=2024-08-01-preview&api-key=x"
    result = score("mmhal", mmhal(tmp_path / "d"), ["--judge", f"openai:my-gpt4o@{url}"], code=2)
    assert "it has a query" in said(result) and "https://RESOURCE.openai.azure.com/openai/v1" in said(result)


def test_a_judge_cut_inside_its_thoughts_gives_no_score(tmp_path: Path) -> None:
    cut = completion("", choices=[{"message": {"content": DRAFT[:60]}, "finish_reason": "length"}])
    with FaultServer(lambda prompt, nth: cut) as server:
        result = score("mmhal", mmhal(tmp_path / "d"), judge_at(server, "judge", "tries=1"), code=3)
    found = figures(result)
    assert (found["n_scored"], found["n_failed"], found["metrics"]["hallucination_rate"]["value"]) == (0, 6, None)
    assert "the reply ends inside its thoughts: allow it more tokens" in said(result)


def mm_vet(folder: Path) -> Path:
    row = {"imagename": "a.png", "question": "What?", "answer": "two dogs", "capability": ["rec"]}
    write_json(folder / "mm-vet.json", {"v1_0": row})
    answers(folder, {"v1_0": "two dogs"})
    return folder


def llava_bench(folder: Path) -> Path:
    write_data(folder, [question(0)])
    answers(folder, {"0": "A dog."})
    return folder


@pytest.mark.parametrize(
    ("benchmark", "folder", "reply", "metric", "value"),
    [
        ("mmhal", mmhal, GOOD, "score", 4.0),
        ("mm_vet", mm_vet, "0.5", "total", 50.0),
        ("llava_bench", llava_bench, "8 4\nThe second leaves out a cat.", "all", 50.0),
    ],
)
def test_a_judge_that_thinks_aloud_is_read_after_its_thoughts_on_every_benchmark(
    benchmark: str, folder: Any, reply: str, metric: str, value: float, tmp_path: Path
) -> None:
    found = []
    for thoughts in ("", DRAFT):
        data = folder(tmp_path / f"d{len(thoughts)}")
        with FaultServer(lambda prompt, nth, said=thoughts + reply: said) as server:  # type: ignore[misc]
            found.append(figures(score(benchmark, data, judge_at(server)))["metrics"][metric]["value"])
    assert found == [value, value]


def test_a_judge_that_ignores_the_form_is_asked_once_more_with_the_form_it_missed(tmp_path: Path) -> None:
    with FaultServer(lambda prompt, nth: GOOD if 'of the form "Rating: n". End with' in prompt else "Fine.") as server:
        found = figures(score("mmhal", mmhal(tmp_path / "d"), judge_at(server)))
    assert (found["n_scored"], found["metrics"]["score"]["value"], len(server.calls)) == (6, 4.0, 12)
    assert found["metrics"]["official_score"]["value"] == 0.0, "officially the first reply decides"


def test_a_reply_in_parts_is_joined_and_asked_for_once(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Analysis: fine.\n"}, {"type": "text", "text": "Rating: 4"}]
    with FaultServer(lambda prompt, nth: completion(parts)) as server:
        found = figures(score("mmhal", mmhal(tmp_path / "d"), judge_at(server)))
    assert (found["n_scored"], found["metrics"]["score"]["value"], len(server.calls)) == (6, 4.0, 6)


def test_a_server_that_answers_one_call_at_a_time_scores_all_in_the_end(tmp_path: Path) -> None:
    one = threading.Lock()

    def play(prompt: str, nth: int) -> str | Fault:
        with one:
            time.sleep(0.04)
        return GOOD

    with FaultServer(play) as server:
        judge = judge_at(server, "judge", "timeout=0.3", "concurrency=12", "tries=8")
        found = figures(score("mmhal", mmhal(tmp_path / "d", 12), judge))
    assert found["n_scored"] == 12 and len(server.calls) < 12 * 4


@pytest.mark.parametrize(
    "reply",
    [
        choice(None, "length", reasoning_content="Rating: 2"),
        {"error": {"message": "Provider returned error: Rating: 2", "code": 502}},
        completion("Rating: 2", model="another-model"),
        choice("", "stop"),
        choice("Rating: 2", "content_filter"),
    ],
    ids=["thoughts apart and no text", "an error with status 200", "another model", "nothing", "filtered"],
)
def test_what_is_no_reply_of_the_judge_that_was_asked_for_is_no_score(reply: dict[str, Any], tmp_path: Path) -> None:
    with FaultServer(lambda prompt, nth: reply) as server:
        found = figures(score("mmhal", mmhal(tmp_path / "d"), judge_at(server, "judge", "tries=1"), code=3))
    assert (found["n_scored"], found["n_failed"], found["metrics"]["score"]["value"]) == (0, 6, None)
