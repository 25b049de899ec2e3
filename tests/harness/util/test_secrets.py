from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.util.files import write_text
from harness.util.secrets import hide, hide_known, keep_secret, keep_shown


def test_a_key_once_known_is_hidden_wherever_it_stands() -> None:
    key = "sk-test/0123+abc"
    assert key in hide(key)
    keep_secret(f" {key}\n")
    assert hide(f"Bad key {key}, url ?q=sk-test%2F0123%2Babc") == "Bad key ***, url ?q=***"
    assert key not in hide(json.dumps({"error": f"no {key}"}))


@pytest.mark.parametrize(
    "spelled", [r"sk-\u0065scaped/0123456789", "sk-escaped%2f0123456789", "sk-escaped&#x2F;0123456789"]
)
def test_a_key_is_known_however_its_characters_are_escaped(spelled: str) -> None:
    keep_secret("sk-escaped/0123456789")
    assert hide_known(f"<{spelled}>") == "<***>"


def test_a_short_key_takes_nothing_out_of_a_digest_that_happens_to_hold_it() -> None:
    keep_secret("abc1234")
    assert hide_known("key abc1234, digest 00abc123400") == "key ***, digest 00abc123400"


def test_what_a_command_line_shows_as_a_key_is_hidden_where_nothing_shows_it() -> None:
    keep_shown("--set judge.api_key=typed-0123 https://me:pass-word-1@h/x?token=queried-0123")
    for key in ("typed-0123", "pass-word-1", "queried-0123"):
        assert hide_known(f"it is {key}") == "it is ***"


def test_what_a_model_reads_in_an_image_is_stored_as_it_says_it() -> None:
    said = "The sign says: WiFi password: guest-0123, secret: none. A bearer of basic understanding."
    assert hide_known(said) == said
    assert hide(said) == said


def test_a_file_is_written_without_a_known_key(tmp_path: Path) -> None:
    keep_secret("sk-written/0123456789")
    write_text(tmp_path / "f.json", json.dumps({"key": "sk-written/0123456789"}))
    assert (tmp_path / "f.json").read_text() == '{"key": "***"}'


def test_a_traceback_a_warning_and_a_log_line_hold_no_key_of_the_environment() -> None:
    program = (
        "import logging, os, warnings; from harness.util.secrets import guard_output; guard_output()\n"
        "key = os.environ['SOME_API_KEY']; print(key); warnings.warn(key); logging.warning(key); raise ValueError(key)"
    )
    key = "sk-environment-0123456789"
    environment = {**os.environ, "SOME_API_KEY": key}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert key not in done.stdout + done.stderr
    assert (done.stdout, done.stderr.count("***")) == ("***\n", 3)


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
