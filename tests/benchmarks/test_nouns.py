"""The taggers: what each reads as a noun."""

from __future__ import annotations

import nltk
import pytest

from benchmarks import nouns
from benchmarks.nouns import LexiconTagger, NltkTagger, find_tagger, resolve
from harness.errors import UsageError


def test_the_word_list_knows_singulars_of_its_vocabulary_only() -> None:
    tagger = LexiconTagger({"dog", "glass", "air-conditioning", "glasses"})
    assert tagger.nouns("Dogs: two dogs, a dog's glasses, benches and air-conditioning.") == [
        "dog",
        "dog",
        "glasses",
        "air-conditioning",
    ]


def test_without_a_vocabulary_everything_but_common_modifiers_is_a_noun() -> None:
    assert LexiconTagger().nouns("a large red wine glasses") == ["wine", "glass"]


def test_nltk_finds_nouns_before_a_full_stop_and_keeps_capitals(nltk_data: None) -> None:
    assert NltkTagger().nouns("There are two dogs. Sky is above the benches.") == ["dog", "Sky", "bench"]


def test_auto_falls_back_to_the_word_list_and_the_name_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(nouns, "spacy_model", lambda: None)
    assert find_tagger("auto").name == resolve("auto") == "lexicon-pluralizer"
    with pytest.raises(UsageError, match="NLTK_DATA"):
        find_tagger("nltk")
    with pytest.raises(UsageError, match="pip install spacy"):
        find_tagger("spacy")


def test_resolving_names_the_tagger_that_is_found(nltk_data: None) -> None:
    assert find_tagger("auto").name == resolve("auto") == resolve("nltk")
