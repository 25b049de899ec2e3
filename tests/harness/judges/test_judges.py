"""Judges by name, and the judge of recorded replies."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.chat.request import ChatRequest
from harness.errors import DataError, UsageError
from harness.judges.openai import chat_request
from harness.judges.registry import JUDGES, make_judge
from harness.judges.replay import ReplayJudge
from harness.protocols.benchmark import JudgePrompt
from harness.protocols.conversation import Image, Turn
from harness.protocols.judge import JudgeRequest


def request(sample_id: str, run: int = 0, attempt: int = 0) -> JudgeRequest:
    return JudgeRequest(sample_id, JudgePrompt("q"), "answer", run, attempt)


def replies_file(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "replies.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_spec_names_the_judge_and_its_argument(tmp_path: Path) -> None:
    judge = make_judge("openai:org/m@http://127.0.0.1:8000/v1/", tmp_path)
    assert (judge.name, judge.endpoint, judge.concurrency) == ("openai:org/m", "http://127.0.0.1:8000/v1", 64)
    replay = make_judge("replay:" + replies_file(tmp_path, '{"id": 1, "reply": "x"}'), tmp_path)
    assert replay.name == "replay:replies.jsonl"
    assert {"openai", "replay"} <= set(JUDGES.names())


def test_settings_reach_the_judge_that_has_them(tmp_path: Path) -> None:
    spec = "openai:m@http://localhost:1/v1"
    assert make_judge(spec, tmp_path, {"concurrency": 3}).concurrency == 3
    with pytest.raises(UsageError, match=r"concurency.*Did you mean 'concurrency'"):
        make_judge(spec, tmp_path, {"concurency": 3})
    with pytest.raises(UsageError, match="no settings, got budget"):
        make_judge("replay:" + replies_file(tmp_path), tmp_path, {"budget": 1})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "expected rule, openai:NAME"),
        ("opnai:gpt-4o", "Unknown judge 'opnai'. Did you mean 'openai'"),
        ("gpt-4o", r"Unknown judge 'gpt-4o'\. Known: .*openai.* for example openai:gpt-4o\."),
        ("openai:", "expected openai:NAME"),
        ("openai:@http://127.0.0.1:80", "expected openai:NAME"),
        ("openai:m@localhost:8000", "expected openai:NAME"),
        ("openai:m@ftp://host/v1", "expected openai:NAME"),
        ("openai:m@http://", "expected openai:NAME"),
        ("openai:m@http://127.0.0.1:port/v1", "expected openai:NAME"),
        ("replay:", "expected a file"),
        ("replay:absent.jsonl", "absent.jsonl: there is no such file"),
    ],
)
def test_a_bad_spec_says_what_was_expected(spec: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        make_judge(spec, tmp_path)


def test_recorded_replies_of_an_id_and_run_are_its_attempts_in_file_order(tmp_path: Path) -> None:
    rows = [
        '{"id": 7, "reply": "first"}',
        "",
        '{"id": "7", "run": 1, "reply": "other run"}',
        '{"id": "7", "reply": "second"}',
    ]
    judge = ReplayJudge(replies_file(tmp_path, *rows))
    asked = [request("7", attempt=1), request("7"), request("7", run=1)]
    assert [(i, reply.text) for i, reply in judge.ask(asked)] == [(0, "second"), (1, "first"), (2, "other run")]


def test_a_request_without_a_recorded_reply_is_an_error_reply_naming_file_and_id(tmp_path: Path) -> None:
    judge = ReplayJudge(replies_file(tmp_path, '{"id": "a", "reply": "x"}'))
    (_, absent), (_, used_up) = judge.ask([request("b"), request("a", attempt=1)])
    assert absent.text is None
    assert "replies.jsonl for id b, run 0, attempt 0" in (absent.error or "")
    assert used_up.text is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1, "reply": "x"', "line 2: not valid JSON"),
        ("[1]", "line 2: expected"),
        ('{"id": 1}', "line 2: expected"),
        ('{"id": 1, "reply": null}', "line 2: reply None is not a string"),
        ('{"id": 1.5, "reply": "x"}', "line 2: id 1.5"),
        ('{"id": true, "reply": "x"}', "line 2: id True"),
        ('{"id": 1, "reply": "x", "run": "0"}', "line 2: run '0'"),
        ('{"id": 1, "reply": "x", "run": -1}', "line 2: run -1"),
    ],
)
def test_a_malformed_line_is_named_by_file_and_line(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as caught:
        ReplayJudge(replies_file(tmp_path, '{"id": 0, "reply": "x"}', line))
    assert "replies.jsonl" in str(caught.value)


def test_bytes_that_are_no_text_are_a_malformed_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_bytes(b'\xff{"id"\n')
    with pytest.raises(DataError, match="line 1: not valid JSON"):
        ReplayJudge(str(path))
    path.write_bytes(b'\xff\xfe{"id"\n')
    with pytest.raises(DataError, match="line 1: it is in UTF-16"):
        ReplayJudge(str(path))


def test_messages_name_what_the_user_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=r"^--judge openai:gpt-4o: set OPENAI_API_KEY"):
        make_judge("openai:gpt-4o", tmp_path)
    assert make_judge("openai:gpt-4o", tmp_path, only_estimate=True).name == "openai:gpt-4o"
    with pytest.raises(UsageError, match=r"^--judge openai: concurrency=0: expected a whole number of at least 1"):
        make_judge("openai:m@http://localhost:1/v1", tmp_path, {"concurrency": 0})
    with pytest.raises(UsageError, match=r"^--judge openai: budget='much': expected a number"):
        make_judge("openai:m@http://localhost:1/v1", tmp_path, {"budget": "much"})


def test_a_question_is_sent_as_the_protocol_has_it() -> None:
    image = Image(data=b"png")
    alone = chat_request(JudgePrompt("p", role="system", temperature=0.2, max_tokens=512, top_p=1.0))
    assert alone == ChatRequest((Turn("system", ("p",)),), 0.2, 512, 1.0)
    both = chat_request(JudgePrompt("p", system="s", image=image))
    assert both == ChatRequest((Turn("system", ("s",)), Turn("user", (image, "p"))))
