"""Streams of events are the completion that they add up to, or none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.chat.completion import Malformed, read
from harness.chat.stream import is_stream
from tests.harness.chat.test_personalities import RATED, chunk


def body(*events: str, end: str = "data: [DONE]\n\n") -> bytes:
    return "".join((*events, end)).encode()


def test_the_last_chunk_gives_the_tokens_and_the_reason_of_the_end() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 9}
    last = f"data: {json.dumps({'model': 'judge', 'choices': [], 'usage': usage})}\r\n\r\n"
    got = read(body(*RATED, chunk({}, "length"), last))
    assert (got.text, got.model, got.finish_reason, got.usage) == ("Rating: 4", "judge", "length", usage)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_joined_apart_from_the_text(field: str) -> None:
    got = read(body(chunk({field: "Rating"}), chunk({field: ": 2"}), *RATED))
    assert (got.text, got.reasoning) == ("Rating: 4", "Rating: 2")


def test_parts_are_joined_and_other_choices_left_out() -> None:
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Rating: 2"}]}]
    other = {"choices": [{"index": 1, "delta": {"content": "Rating: 0"}}]}
    got = read(body(chunk({"content": thinking}), f"data: {json.dumps(other)}\n\n", *RATED))
    assert (got.text, got.reasoning) == ("Rating: 4", "Rating: 2")


def test_a_text_may_hold_signs_that_end_lines_elsewhere() -> None:
    event = json.dumps({"choices": [{"delta": {"content": "a\u2028b\x85c"}}]}, ensure_ascii=False)
    assert read(body(f"data:{event}\n\n")).text == "a\u2028b\x85c"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (body(*RATED, end=""), "the stream ends before its text does"),
        (body(*RATED, end="data: {"), "not JSON"),
        (body(end="data: [DONE]\n\n"), "there are no choices"),
        (body("data: 4\n\n"), "not JSON"),
        (body('data: {"error": {"message": "overloaded", "code": 529}}\n\n'), "'overloaded'"),
    ],
    ids=["no end", "a cut event", "nothing", "a number", "an error alone"],
)
def test_a_stream_that_is_no_whole_completion_is_none(content: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        read(content)


@pytest.mark.parametrize("value", [{"choices": []}, "data: x", ["data:"], 4])
def test_json_is_no_stream(value: Any) -> None:
    assert not is_stream(json.dumps(value).encode())
