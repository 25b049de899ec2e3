"""Splitters: what the rules cut, and what an LLM's reply must be."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from aligners.pair_hardness.hardness import HardnessConfig, make_splitter
from aligners.pair_hardness.llm_splitter import PROMPT, RE_ASK, LlmSplitter, read_pieces
from aligners.pair_hardness.rule_splitter import RuleSplitter
from aligners.pair_hardness.splitter import SplitError
from harness.errors import UsageError
from harness.util.options import content_key
from tests.harness.fault_server import FaultServer, http


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("A dog sits. A cat runs!", ["A dog sits.", "A cat runs!"]),
        ("There is a dog, a cat and a bird.", ["There is a dog", "a cat", "and a bird."]),
        ("A black and white dog sleeps.", ["A black and white dog sleeps."]),
        ("A man rides while a boy walks with a dog.", ["A man rides", "while a boy walks", "with a dog."]),
        ("It is 3.5 m long; it is red.", ["It is 3.5 m long;", "it is red."]),
        ("Mr. Smith smiles.", ["Mr. Smith smiles."]),
        ("Red, white and blue flags hang.", ["Red, white and blue flags hang."]),
        ("a dog .", ["a dog ."]),
        ("One line\nAnother line", ["One line", "Another line"]),
        ("A dog runs and is wet.", ["A dog runs", "and is wet."]),
        ("Yes", ["Yes"]),
    ],
)
def test_rules_cut_sentences_then_clauses(text: str, pieces: list[str]) -> None:
    assert RuleSplitter().split([text]) == [pieces]


def test_rules_lose_no_word() -> None:
    text = "Well, a man (with a hat) and a dog, and, while it rains, no. 5 of them; e.g. cats?! Yes, and with joy."
    (pieces,) = RuleSplitter().split([text])
    assert "".join(filter(str.isalnum, " ".join(pieces))) == "".join(filter(str.isalnum, text))


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))


def asked(prompt: str) -> bool:
    """Whether it is the first question about a text."""
    return prompt != RE_ASK


def test_llm_is_asked_again_once_and_its_answer_is_cached() -> None:
    with FaultServer(lambda prompt, nth: "Sure! a dog" if asked(prompt) else '["a dog", "a cat"]') as server:
        splitter = LlmSplitter("m", server.url)
        shown: list[tuple[str, int, int]] = []
        texts = ["a dog and a cat", "a dog and a cat"]
        assert splitter.split(texts, lambda *report: shown.append(report)) == [["a dog", "a cat"]] * 2
        assert [len(call["messages"]) for call in server.calls] == [1, 3]
        assert server.calls[0] == {
            "model": "m",
            "messages": [{"role": "user", "content": PROMPT.format(text="a dog and a cat")}],
            "temperature": 0,
        }
        assert shown == [("splitting", 1, 1), ("splitting", 1, 1)]
        url = server.url
    assert LlmSplitter("m", url).split(texts) == [["a dog", "a cat"]] * 2


@pytest.mark.parametrize("content", ['["a dog", "a', "", "[]", '{"a": 1}', "[1]"])
def test_pieces_that_were_kept_and_are_damaged_are_asked_for_anew(tmp_path: Path, content: str) -> None:
    with FaultServer(lambda prompt, nth: '["a dog", "a cat"]') as server:
        splitter = LlmSplitter("m", server.url)
        splitter.split(["a dog and a cat"])
        (file,) = (tmp_path / "cache/split").iterdir()
        file.write_text(content)
        with pytest.warns(UserWarning, match="is damaged"):
            assert splitter.split(["a dog and a cat"]) == [["a dog", "a cat"]]
        assert len(server.calls) == 2


def test_llm_that_gives_no_list_twice_is_an_error_with_the_position_of_the_text() -> None:
    good = PROMPT.format(text="one")
    with FaultServer(lambda prompt, nth: '["x"]' if prompt == good else "no") as server:
        with pytest.raises(SplitError, match="twice; the last reply began 'no'") as caught:
            LlmSplitter("m", server.url).split(["one", "two"])
        assert caught.value.index == 1
        assert LlmSplitter("m", server.url).split(["one"]) == [["x"]] and len(server.calls) == 3


def test_an_endpoint_that_fails_is_an_error_that_names_splitter_and_cause() -> None:
    reason = r"splitter llm-1:m@http.* could not be asked: HTTP 404: no"
    with FaultServer(lambda prompt, nth: http(404)) as server, pytest.raises(SplitError, match=reason):
        LlmSplitter("m", server.url).split(["one", "two"])


def test_an_endpoint_gets_the_key_that_is_named_for_it_and_is_read_after_its_thoughts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOSTED", "sk-hosted")
    with FaultServer(lambda prompt, nth: '<think>["no"]</think>["a", "b"]') as server:
        config = HardnessConfig(splitter="llm", splitter_model="m", splitter_base_url=server.url)
        assert make_splitter(replace(config, splitter_api_key_env="HOSTED")).split(["one"]) == [["a", "b"]]
    assert b"Bearer sk-hosted" in server.headers[0]
    assert content_key(config) == content_key({k: v for k, v in asdict(config).items() if k != "splitter_api_key_env"})


def test_messages_name_the_settings_that_the_user_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=r"^--set splitter=llm splitter_model=m: set OPENAI_API_KEY to the key"):
        LlmSplitter("m").split(["one"])
    with pytest.raises(UsageError, match=r"^--set splitter_base_url=localhost:8000: expected a base URL"):
        LlmSplitter("m", "localhost:8000")
    with pytest.raises(UsageError, match=r"Unknown splitter 'rul'. Did you mean 'rule'"):
        HardnessConfig(splitter="rul")


@pytest.mark.parametrize(
    ("reply", "pieces"),
    [
        ('["a", "b"]', ["a", "b"]),
        ('```json\n["a"]\n```', ["a"]),
        ('Here: ["a"]', None),
        ("[]", None),
        ('[""]', None),
        ("[1]", None),
        ('{"a": 1}', None),
    ],
)
def test_replies_are_read_strictly(reply: str, pieces: list[str] | None) -> None:
    assert read_pieces(reply) == pieces


def test_the_rule_splitter_gives_the_pieces_of_its_first_version() -> None:
    """The name rule-1 stands in cache keys and records; these pieces were made before it took linear time."""
    texts = [
        "A man, e.g. a waiter, holds  a cup   while a dog, Mr. Miller's, sits.  It rains!",
        'The "red" bus (No. 5) stops; "two people" get on.)  and  the end',
        "red, white and blue,  and a flag with\twith a pole and 10 stars",
        "while and with, and, ten. etc. etc. approx. x\n\n and a\n.",
        "   ",
    ]
    assert RuleSplitter().split(texts) == [
        ["A man", "e.g. a waiter", "holds  a cup", "while a dog", "Mr. Miller's, sits.", "It rains!"],
        ['The "red" bus (No. 5) stops;', '"two people" get on.', "and  the end"],
        ["red, white and blue", "and a flag with", "with a pole", "and 10 stars"],
        ["while and with, and, ten.", "etc. etc. approx. x", "and a"],
        [""],
    ]
