from __future__ import annotations

import json

import pytest

from harness.util.secrets import hide, keep_secret


def test_a_key_once_known_is_hidden_wherever_it_stands() -> None:
    key = "sk-test/0123+abc"
    assert key in hide(key)
    keep_secret(f" {key}\n")
    assert hide(f"Bad key {key}, url ?q=sk-test%2F0123%2Babc") == "Bad key ***, url ?q=***"
    assert key not in hide(json.dumps({"error": f"no {key}"}))


def test_what_is_too_short_to_be_a_key_is_left_alone() -> None:
    keep_secret("none")
    assert hide("none of these") == "none of these"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://user:pass@host:80/v1", "http://***@host:80/v1"),
        ("see https://h/v1?api_key=abc&x=1", "see https://h/v1?api_key=***&x=1"),
        ("https://h/i.png?X-Amz-Signature=00ff&sig=a", "https://h/i.png?X-Amz-Signature=***&sig=***"),
        ("Authorization: Bearer abcdefghij", "Authorization: Bearer ***"),
        ("mail me at a@b.org, x = 1", "mail me at a@b.org, x = 1"),
        ("https://h/v1?model=m", "https://h/v1?model=m"),
    ],
)
def test_a_secret_in_a_url_or_header_is_hidden(text: str, safe: str) -> None:
    assert hide(text) == safe
