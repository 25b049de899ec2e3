"""Splitters: what the rules cut, and what an LLM's reply must be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aligners.pair_hardness.splitter import LlmSplitter, RuleSplitter, SplitError, read_pieces


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


class Client:
    """Answers chat requests with the given replies, in order."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked: list[list[dict[str, str]]] = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))

    def _create(self, **request: Any) -> Any:
        self.asked.append([dict(message) for message in request["messages"]])
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content=self.replies.pop(0)))])


@pytest.fixture(autouse=True)
def home(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))


def test_llm_is_asked_again_once_and_its_answer_is_cached() -> None:
    client = Client("Sure! a dog", '["a dog", "a cat"]')
    splitter = LlmSplitter(lambda: client, "m")
    assert splitter.split(["a dog and a cat"]) == [["a dog", "a cat"]]
    assert len(client.asked) == 2 and len(client.asked[1]) == 3
    assert LlmSplitter(Client, "m").split(["a dog and a cat"]) == [["a dog", "a cat"]]


def test_llm_that_gives_no_list_twice_is_an_error_with_the_place_of_the_text() -> None:
    splitter = LlmSplitter(lambda: Client('["x"]', "no", "no"), "m", workers=1)
    with pytest.raises(SplitError, match="twice") as caught:
        splitter.split(["one", "two"])
    assert caught.value.index == 1


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
