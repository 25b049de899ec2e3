"""The taggers: what each reads as a noun."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import nltk
import pytest

from benchmarks.common import taggers as nouns
from benchmarks.common.taggers import LexiconTagger, NltkTagger, find_tagger, resolve
from harness.errors import UsageError
from harness.util.spacy_models import spacy_model


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


@pytest.mark.needs("reference")
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


@pytest.mark.needs("reference")
def test_resolving_names_the_tagger_that_is_found(nltk_data: None) -> None:
    assert find_tagger("auto").name == resolve("auto") == resolve("nltk")


class Recorded:
    """A spaCy pipeline that gives recorded parses."""

    def __init__(self, parses: dict[str, list[list[str]]]) -> None:
        self.parses, self.asked = parses, 0

    def __call__(self, text: str) -> list[SimpleNamespace]:
        self.asked += 1
        return [SimpleNamespace(text=word, lemma_=lemma, tag_=tag) for word, lemma, tag in self.parses[text]]


@pytest.mark.needs("reference")
def test_spacy_parses_the_names_and_nltk_the_captions(nltk_data: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Recorded({"a wine glasses": [["a", "a", "DT"], ["wine", "wine", "NN"], ["glasses", "glass", "NNS"]]})
    monkeypatch.setattr(nouns, "spacy_model", lambda: nouns.OFFICIAL_SPACY)
    monkeypatch.setattr(nouns, "load_spacy", lambda model: pipeline)
    tagger = nouns.find_name_tagger("auto")
    name = "spacy-en_core_web_trf+nltk-perceptron-wordnet-punkt0"
    assert tagger.name == nouns.resolve_name_tagger("auto") == name
    assert [token.lemma for token in tagger.parse("a wine glasses") if token.is_noun] == ["wine", "glass"]
    assert tagger.lemmas("It has wine glasses") == ["It", "ha", "wine", "glass"]  # WordNet's "has" as a noun
    tagger.parse("a wine glasses")
    assert pipeline.asked == 1
    assert resolve("auto").startswith("nltk"), "AMBER's own tagger stays NLTK"


@pytest.mark.needs("reference")
def test_any_spacy_model_parses_names_rather_than_nltk(nltk_data: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nouns, "spacy_model", lambda: "en_core_web_sm")
    assert nouns.resolve_name_tagger("auto") == nouns.resolve_name_tagger("spacy")
    assert nouns.resolve_name_tagger("auto").startswith("spacy-en_core_web_sm+nltk")
    assert resolve("auto").startswith("nltk"), "AMBER's own tagger stays NLTK"


@pytest.mark.needs("reference")
def test_trained_punkt_is_used_where_it_is_and_named(
    nltk_data: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Untrained, "vs." ends a sentence and its full stop is a word of its own; the trained one knows it."""
    text = "The picture shows cats vs. dogs in a yard."
    untrained = find_tagger("auto")
    assert untrained.name.endswith("punkt0")
    assert untrained.lemmas(text).count(".") == 2
    model = tmp_path / "tokenizers/punkt_tab/english"
    model.mkdir(parents=True)
    (model / "abbrev_types.txt").write_text("vs\n")
    for name in ("collocations.tab", "ortho_context.tab", "sent_starters.txt"):
        (model / name).write_text("")
    monkeypatch.setattr(nltk.data, "path", [*nltk.data.path, str(tmp_path)])
    trained = find_tagger("auto")
    assert trained.name == resolve("auto") == nouns.OFFICIAL_NLTK
    assert trained.lemmas(text).count(".") == 1


def test_a_spacy_model_that_does_not_load_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: str) -> None:
        raise OSError("[E050] Can't find model")

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=load))
    with pytest.raises(UsageError, match="python -m spacy download en_core_web_none"):
        nouns.load_spacy("en_core_web_none")


@pytest.mark.needs("spacy")
def test_the_installed_spacy_reads_names_as_the_official_code_expects() -> None:
    model = spacy_model()
    assert model is not None
    parsed = nouns.SpacyTagger(model).parse("a two red wine glasses")
    assert [token.lemma for token in parsed if token.is_noun] == ["wine", "glass"]
