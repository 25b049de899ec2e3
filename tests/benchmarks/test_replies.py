"""Judges' replies that are no verdict: noise, beginnings, and near misses never become a number."""

from __future__ import annotations

import json
import random

from benchmarks.mmhal import read_rating, read_rating_officially
from benchmarks.object_halbench import read_objects, read_objects_officially, read_objects_tolerantly

ALPHABET = "abc 0123456789.,:;*#[]{}()\"'\\/-\n\t\x00\u2028éß中🦊\ud800"


def noise(count: int) -> list[str]:
    draw = random.Random(0)
    texts = ["".join(draw.choices(ALPHABET, k=draw.randrange(80))) for _ in range(count)]
    return texts + [draw.randbytes(60).decode(errors="replace") for _ in range(count)]


def test_noise_is_no_rating() -> None:
    for text in noise(1000):
        assert read_rating(text) is None, text
        assert read_rating_officially(text) == 0, text


def test_noise_is_a_list_of_objects_only_if_it_is_json() -> None:
    for text in noise(1000):
        for read in (read_objects, read_objects_officially, read_objects_tolerantly):
            found = read(text)
            assert found is None or all(isinstance(name, str) for name in found), text
        if read_objects(text) is not None:
            assert text.strip().endswith("]")


def test_the_beginning_of_a_reply_is_the_reply_or_nothing() -> None:
    rated = "It says a little.\n\n**Rating: 4**, somewhat informative, no hallucination"
    assert {read_rating(rated[:n]) for n in range(len(rated) + 1)} == {None, 4}
    listed = json.dumps(["dog", "dining table", "wine glass"])
    for n in range(len(listed)):
        assert read_objects(listed[:n]) is None and read_objects_tolerantly(listed[:n]) is None


def test_long_replies_are_read_in_no_time() -> None:
    for text in (
        "rating " * 50_000,
        "[" * 200_000,
        '["a",' * 50_000,
        "Rating: " + "1" * 4000,
        "rating:" + " " * 200_000,
    ):
        assert read_rating(text) is None
        assert read_objects_tolerantly(text) is None
