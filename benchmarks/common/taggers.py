"""Words of a text: tokens, tags and lemmas, from NLTK, from spaCy, or from a word list where neither is installed.

Scores depend on the tagger, so its name is part of a benchmark's version. The official scorers use NLTK (AMBER, the
captions of Object HalBench) and spaCy's en_core_web_trf (the judge's object names of Object HalBench).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection
from typing import Any, Literal, NamedTuple, Protocol

from harness.errors import UsageError
from harness.util import nltk_data, spacy_models
from harness.util.spacy_models import spacy_model

TaggerName = Literal["auto", "nltk", "spacy", "lexicon"]


class Token(NamedTuple):
    """A token, its lemma and its Penn Treebank tag (nouns: NN, NNS, NNP, NNPS)."""

    text: str
    lemma: str
    tag: str

    @property
    def is_noun(self) -> bool:
        return self.tag in {"NN", "NNS", "NNP", "NNPS"}


class Tagger(Protocol):
    """Three readings of a text. ``name`` says what made them, data version included where it matters."""

    name: str

    def nouns(self, text: str) -> list[str]:
        """The nouns in order, repetitions included, as singular forms in the case they were written in."""
        ...

    def lemmas(self, text: str) -> list[str]:
        """Every token, reduced as if it were a noun ("cars" -> "car", but also NLTK's "has" -> "ha")."""
        ...

    def parse(self, text: str) -> list[Token]:
        """Every token with its tag, and its lemma by that tag (lower case except for proper nouns)."""
        ...


def find_tagger(name: TaggerName, vocabulary: Collection[str] | None = None) -> Tagger:
    """The tagger called ``name``; ``auto`` is NLTK where its data are installed, else spaCy, else the word list.

    ``vocabulary`` is only used by ``lexicon``: the words that can be nouns. A tagger that is asked for but not
    installed raises a UsageError that says how to get it.
    """
    if name == "auto":
        name = "nltk" if has_nltk_data() else "spacy" if spacy_model() else "lexicon"
    if name == "nltk":
        if not has_nltk_data():
            raise UsageError(
                "tagger=nltk: NLTK's tagger and WordNet are not installed. Run `python cli.py fetch nlp`, set "
                "NLTK_DATA to where they are, or use tagger=lexicon."
            )
        return _nltk()
    if name == "spacy":
        model = spacy_model()
        if model is None:
            raise UsageError(
                f"tagger=spacy: spaCy with one of {', '.join(spacy_models.MODELS)} is not installed. "
                f"Run `pip install spacy` and `python -m spacy download {OFFICIAL_SPACY}`, or use another tagger."
            )
        return SpacyTagger(model)
    return LexiconTagger(vocabulary)


OFFICIAL_SPACY = spacy_models.PARSING
OFFICIAL_NLTK = "nltk-perceptron-wordnet-punkt"
"""What the official scorers use, by the names of taggers."""


def find_name_tagger(name: TaggerName) -> Tagger:
    """The tagger of Object HalBench: as officially, spaCy parses the judge's names and NLTK reduces the captions.

    ``auto`` is spaCy where one of its models is installed, the first of ``SPACY_MODELS`` (officially en_core_web_trf),
    else what ``find_tagger`` finds. Captions are reduced by NLTK wherever its data are there.
    """
    if name == "auto" and spacy_model():
        name = "spacy"
    names = find_tagger(name)
    return PairedTagger(names, _nltk()) if isinstance(names, SpacyTagger) and has_nltk_data() else names


def resolve_name_tagger(name: TaggerName) -> str:
    """The name of the tagger that ``find_name_tagger(name)`` gives on this machine, without loading it."""
    if name == "auto" and spacy_model():
        name = "spacy"
    tagger = resolve(name)
    return f"{tagger}+{nltk_name()}" if tagger.startswith("spacy-") and has_nltk_data() else tagger


def resolve(name: TaggerName) -> str:
    """The name of the tagger that ``find_tagger(name)`` gives on this machine, without loading it."""
    if name == "nltk" or (name == "auto" and has_nltk_data()):
        return nltk_name()
    if name == "spacy" or (name == "auto" and spacy_model()):
        return f"spacy-{spacy_model() or 'none'}"
    return LexiconTagger.name


def has_nltk_data() -> bool:
    """Whether NLTK and its English tagger and WordNet are there."""
    return nltk_data.has(nltk_data.TAGGER, nltk_data.WORDNET)


def nltk_name() -> str:
    """The name of NLTK's tagger here: "punkt" splits sentences by its trained model, "punkt0" without one."""
    return f"nltk-perceptron-wordnet-punkt{'' if nltk_data.has(nltk_data.PUNKT) else '0'}"


class NltkTagger:
    """Punkt's sentences, NLTK's words, the averaged perceptron tagger over the whole text, WordNet's lemmas.

    Officially Punkt is the trained English model, which knows abbreviations ("vs." does not end a sentence); without it
    an untrained one splits, and the name says so. Raises UsageError where NLTK's data are damaged.
    """

    def __init__(self) -> None:
        from nltk.tokenize import NLTKWordTokenizer
        from nltk.tokenize.punkt import PunktSentenceTokenizer

        self.name = nltk_name()
        self._sentences = PunktSentenceTokenizer() if self.name.endswith("0") else nltk_data.splitter()
        self._words = NLTKWordTokenizer()
        self._tagger = nltk_data.tagger()
        lemmatize = nltk_data.lemmatizer().lemmatize
        self._lemma: Callable[[str, str], str] = functools.lru_cache(maxsize=65536)(lemmatize)

    def tokens(self, text: str) -> list[str]:
        """The tokens: a full stop inside a text is its own token (FINDINGS: a glued one hides nouns)."""
        return [word for sentence in self._sentences.tokenize(text) for word in self._words.tokenize(sentence)]

    def nouns(self, text: str) -> list[str]:
        return [self._lemma(word, "n") for word, tag in self._tagger.tag(self.tokens(text)) if tag.startswith("NN")]

    def lemmas(self, text: str) -> list[str]:
        return [self._lemma(word, "n") for word in self.tokens(text)]

    def parse(self, text: str) -> list[Token]:
        return [Token(word, self._lemma_by_tag(word, tag), tag) for word, tag in self._tagger.tag(self.tokens(text))]

    def _lemma_by_tag(self, word: str, tag: str) -> str:
        if tag in ("NNP", "NNPS"):
            return word
        pos = {"N": "n", "V": "v", "J": "a", "R": "r"}.get(tag[:1])
        return self._lemma(word.lower(), pos) if pos else word.lower()


def _nltk() -> NltkTagger:
    return _nltk_named(nltk_name())


@functools.cache
def _nltk_named(name: str) -> NltkTagger:
    return NltkTagger()  # WordNet takes seconds to load


@functools.cache
def load_spacy(model: str) -> Any:
    """A spaCy pipeline, loaded once."""
    import spacy

    try:
        return spacy.load(model)
    except (OSError, ImportError, ValueError) as error:
        raise UsageError(
            f"spaCy cannot load {model} ({' '.join(str(error).split())[:200]}): run `python -m spacy download {model}` "
            "with the Python that runs this, or choose another tagger or similarity."
        ) from error


class SpacyTagger:
    """Tags and lemmas of a spaCy pipeline."""

    def __init__(self, model: str) -> None:
        self.name = f"spacy-{model}"
        self._nlp = load_spacy(model)
        self._parsed: Callable[[str], list[Token]] = functools.lru_cache(maxsize=65536)(self._parse)

    def nouns(self, text: str) -> list[str]:
        return [token.lemma_ for token in self._nlp(text) if token.tag_.startswith("NN")]

    def lemmas(self, text: str) -> list[str]:
        return [token.lemma_ for token in self._nlp(text)]

    def parse(self, text: str) -> list[Token]:
        return self._parsed(text)  # judges name the same objects again and again

    def _parse(self, text: str) -> list[Token]:
        return [Token(token.text, token.lemma_, token.tag_) for token in self._nlp(text)]


class PairedTagger:
    """One tagger parses names, another one reads running text."""

    def __init__(self, names: Tagger, texts: Tagger) -> None:
        self.name = f"{names.name}+{texts.name}"
        self._names, self._texts = names, texts

    def nouns(self, text: str) -> list[str]:
        return self._texts.nouns(text)

    def lemmas(self, text: str) -> list[str]:
        return self._texts.lemmas(text)

    def parse(self, text: str) -> list[Token]:
        return self._names.parse(text)


# Words that come before a noun in an object's name and are not nouns themselves: what the word list knows of grammar.
_NOT_NOUNS = """
a an the this that these those some several many few various multiple other another each both all any no one two
    three four five six seven eight nine ten dozen first second third of in on at by to with and or for from near its
    his her their my your our is are was were has have be being been not very black white red green blue yellow brown
    gray grey pink purple golden dark light-colored bright colorful large small big little tall short long wide tiny
    huge old new young wooden metallic clear empty full open closed sliced cooked fresh ripe round square striped
    plain nearby parked standing sitting hanging
"""
NOT_NOUNS = frozenset(_NOT_NOUNS.split())


class LexiconTagger:
    """A tagger without a model: a token is a noun if its singular is in ``vocabulary``.

    Without a vocabulary every word is a noun but determiners, prepositions, numbers and common adjectives: good for
    short object names, not for sentences.
    """

    name = "lexicon-pluralizer"

    def __init__(self, vocabulary: Collection[str] | None = None) -> None:
        from pluralizer import Pluralizer

        pluralizer: Any = Pluralizer()  # type: ignore[no-untyped-call]
        self._vocabulary = None if vocabulary is None else frozenset(vocabulary)
        self._singular: Callable[[str], str] = functools.lru_cache(maxsize=65536)(pluralizer.singular)

    def _tokens(self, text: str) -> list[str]:
        return re.findall(r"\w+(?:-\w+)*|[^\w\s]", text)

    def _lemma(self, word: str) -> str:
        if self._vocabulary is not None and word in self._vocabulary:
            return word  # "glasses" may itself be a word of the list
        return str(self._singular(word)) if word[:1].isalpha() else word

    def _is_noun(self, word: str, lemma: str) -> bool:
        if self._vocabulary is not None:
            return lemma in self._vocabulary
        return word[:1].isalpha() and word.lower() not in NOT_NOUNS

    def nouns(self, text: str) -> list[str]:
        return [token.lemma for token in self.parse(text) if token.is_noun]

    def lemmas(self, text: str) -> list[str]:
        return [self._lemma(word) for word in self._tokens(text)]

    def parse(self, text: str) -> list[Token]:
        pairs = [(word, self._lemma(word)) for word in self._tokens(text)]
        return [Token(word, lemma, "NN" if self._is_noun(word, lemma) else "X") for word, lemma in pairs]
