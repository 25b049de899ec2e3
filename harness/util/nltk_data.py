"""NLTK's data: where they are looked for, and their home, for `fetch nlp`."""

from __future__ import annotations

import importlib.util

from harness.util.fetching import Source
from harness.util.paths import kept_dir

TAGGER, WORDNET, PUNKT = "taggers/averaged_perceptron_tagger_eng", "corpora/wordnet", "tokenizers/punkt_tab"
FOLDER = "nltk_data"
"""In the cache; NLTK's own places and NLTK_DATA come before it."""
PACKAGES = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages"
SOURCES: tuple[Source, ...] = (
    Source("tagger.zip", f"{PACKAGES}/{TAGGER}.zip", "", "MIT", (("*.json", TAGGER),), (TAGGER,)),
    Source("wordnet.zip", f"{PACKAGES}/{WORDNET}.zip", "", "WordNet licence", (("wordnet/*", WORDNET),), (WORDNET,)),
    Source(
        "punkt.zip",
        f"{PACKAGES}/{PUNKT}.zip",
        "",
        "Apache-2.0",
        (("*/english/*", f"{PUNKT}/english"),),
        (f"{PUNKT}/english",),
    ),
)


def has(*resources: str) -> bool:
    """Whether NLTK is installed and all of ``resources`` are there, unpacked or zipped."""
    if importlib.util.find_spec("nltk") is None:
        return False
    import nltk

    fetched = str(kept_dir("data") / FOLDER)
    if fetched not in nltk.data.path:
        nltk.data.path.append(fetched)
    return all(_found(resource) for resource in resources)


def _found(resource: str) -> bool:
    import nltk

    for path in (resource, f"{resource}.zip"):
        try:
            nltk.data.find(path)
        except LookupError:
            continue
        return True
    return False


def problem() -> str | None:
    """What keeps the tagger, WordNet and Punkt that are there from reading a sentence; None if nothing does."""
    try:
        from nltk.stem import WordNetLemmatizer
        from nltk.tag.perceptron import PerceptronTagger
        from nltk.tokenize.punkt import PunktTokenizer

        if has(PUNKT):
            PunktTokenizer("english").tokenize("Two dogs. A cat.")
        if has(TAGGER, WORDNET):
            (_, tag), *_ = PerceptronTagger().tag(["dogs"])
            lemma = WordNetLemmatizer().lemmatize("dogs", "n")
            return None if (tag, lemma) == ("NNS", "dog") else f"'dogs' is read as {tag} {lemma!r}"
    except Exception as error:  # whatever damaged data make it raise is the finding
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return None
