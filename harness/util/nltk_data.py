"""NLTK's data: where they are looked for, their home, for `fetch nlp`, and what reads them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
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
    if importlib.util.find_spec("nltk") is None or not all(map(_may_be_found, resources)):
        return False
    import nltk

    fetched = str(kept_dir("data") / FOLDER)
    if fetched not in nltk.data.path:
        nltk.data.path.append(fetched)
    return all(map(_found, resources))


def _may_be_found(resource: str) -> bool:
    """Whether NLTK is to be asked for ``resource``: where no place holds it, its import would take seconds for nothing.

    NLTK decides: it leaves out what others could have written.
    """
    if "nltk" in sys.modules or os.name == "nt":
        return True
    names = (resource, f"{resource}.zip", f"{resource.partition('/')[0]}.zip")
    places = [*nltk_places(), str(kept_dir("data") / FOLDER)]
    return any(os.path.isfile(place) or any(os.path.exists(f"{place}/{name}") for name in names) for place in places)


def nltk_places() -> list[str]:
    """Where NLTK looks for data, but for Windows, as its ``nltk.data.path`` is once it is imported."""
    named = [os.path.expanduser(place) for place in os.environ.get("NLTK_DATA", "").split(os.pathsep) if place]
    own = [] if os.path.expanduser("~/") == "~/" else [os.path.expanduser("~/nltk_data")]
    with_python = [os.path.join(sys.prefix, *part, FOLDER) for part in ([], ["share"], ["lib"])]
    shared = [f"/usr/{part}/{FOLDER}" for part in ("share", "local/share", "lib", "local/lib")]
    return [*named, *own, *with_python, *shared]


def _found(resource: str) -> str:
    """Where a part of the data lies, unpacked or zipped; "" where it is not there."""
    import nltk

    for path in (resource, f"{resource}.zip"):
        try:
            return str(nltk.data.find(path))
        except LookupError:
            continue
    return ""


def splitter() -> Any:
    """The trained Punkt. Raises UsageError, as all of these, where the data do not read what they should."""
    from nltk.tokenize.punkt import PunktTokenizer

    with _reading(PUNKT):
        made = PunktTokenizer("english")
        _require(made.tokenize("Two dogs. A cat."), ["Two dogs.", "A cat."])
    return made


def tagger() -> Any:
    """The averaged perceptron."""
    from nltk.tag.perceptron import PerceptronTagger

    with _reading(TAGGER):
        made = PerceptronTagger()
        _require(made.tag(["dogs"]), [("dogs", "NNS")])
    return made


def lemmatizer() -> Any:
    """WordNet, which takes seconds to load."""
    from nltk.stem import WordNetLemmatizer

    with _reading(WORDNET):
        made = WordNetLemmatizer()
        _require(made.lemmatize("dogs", "n"), "dog")
    return made


READERS: Mapping[str, Callable[[], Any]] = {TAGGER: tagger, WORDNET: lemmatizer, PUNKT: splitter}
"""What reads each part of the data."""


def faults() -> dict[str, str]:
    """Of each part that is there and damaged, what is wrong and what to do."""
    said = {}
    for resource, read in READERS.items():
        if has(resource):
            try:
                read()
            except UsageError as error:
                said[resource] = str(error)
    return said


def remove(resource: str) -> bool:
    """Remove a part of the data that `fetch nlp` put there; whether it is what would be read."""
    mine = kept_dir("data") / FOLDER / resource
    if not has(resource) or not Path(_found(resource)).resolve().is_relative_to(mine.resolve()):
        return False
    shutil.rmtree(mine)
    return True


@contextlib.contextmanager
def _reading(resource: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever damaged data make it raise is the finding
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UsageError(
            f"{_found(resource) or resource}: NLTK's data are damaged ({what}). Restore or remove them, and run "
            "`python cli.py fetch nlp`."
        ) from error


def _require(read: object, expected: object) -> None:
    if read != expected:
        raise ValueError(f"it reads {read!r}, expected {expected!r}")
