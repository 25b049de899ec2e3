"""AMBER's generative rule: which nouns of a caption are fine, which are hallucinated, what is covered.

Source: AMBER `inference.py` at 534babf. Lines tagged REPRODUCE keep what published numbers depend on.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.files import read_json, read_text
from benchmarks.common.taggers import load_spacy
from harness.errors import DataError, UsageError
from harness.util.jsonl import iter_values
from harness.util.spacy_models import VECTORS, has_model

Similar = Callable[[str, str], bool]
"""Whether two words of the vocabulary mean the same thing."""

THRESHOLD = 0.8  # strictly above counts as similar


@dataclass(frozen=True)
class Words:
    """The word lists shared by all samples: associations of each word, words never counted against a caption."""

    associations: Mapping[str, Sequence[str]]
    safe: frozenset[str]
    similar: Similar

    @functools.cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word the rule knows; nouns outside are ignored."""
        return frozenset(self.associations).union(*self.associations.values())


@dataclass(frozen=True)
class CaptionCounts:
    """One caption against its image's word lists; ``covered`` and ``imagined`` are credited list words."""

    mentions: list[str]
    hallucinated: list[str]
    covered: int
    imagined: int


class _Checklist:
    """The words of one list (truth or hallu), each credited at most once, found by itself or an association.

    REPRODUCE: the associations of all words come before the words themselves, and the first match takes the
    credit; a word that is also an association of an earlier one, or is listed twice, can never be covered.
    """

    def __init__(self, words: Sequence[str], associations: Mapping[str, Sequence[str]]) -> None:
        entries = [(other, index) for index, word in enumerate(words) for other in associations.get(word, ())]
        entries += [(word, index) for index, word in enumerate(words)]
        self._entries = entries
        self._first: dict[str, int] = {}
        for word, index in entries:
            self._first.setdefault(word, index)
        self._credited: set[int] = set()

    def credit_exact(self, noun: str) -> bool:
        if noun not in self._first:
            return False
        self._credited.add(self._first[noun])
        return True

    def credit_similar(self, noun: str, similar: Similar) -> bool:
        for word, index in self._entries:
            if similar(noun, word):
                self._credited.add(index)
                return True
        return False

    @property
    def credited(self) -> int:
        return len(self._credited)


def count_caption(nouns: Sequence[str], truth: Sequence[str], hallu: Sequence[str], words: Words) -> CaptionCounts:
    """Score the nouns of one caption against what its image shows (``truth``) and what is often imagined (``hallu``).

    REPRODUCE: nouns are compared as written, so "Sky" is unknown; words in ``safe`` stay in the mentions.
    """
    mentions = [noun for noun in nouns if noun in words.vocabulary]
    seen, imagined = _Checklist(truth, words.associations), _Checklist(hallu, words.associations)
    hallucinated = []
    for noun in mentions:
        if noun in words.safe or seen.credit_exact(noun):
            continue
        imagined.credit_exact(noun)
        # REPRODUCE: no skip here: one noun may credit two imagined words and still be forgiven by a similar true one.
        imagined.credit_similar(noun, words.similar)
        if not seen.credit_similar(noun, words.similar):
            hallucinated.append(noun)
    return CaptionCounts(mentions, hallucinated, seen.credited, imagined.credited)


def find_similarity(setting: str) -> str:
    """The similarity that ``setting`` means on this machine: ``auto`` is spaCy's vectors if installed, else exact."""
    kind, _, file = setting.partition(":")
    if kind not in ("auto", "exact", "spacy", "table") or (kind == "table") != bool(file):
        raise UsageError(f"amber: similarity={setting!r}: choose one of auto, exact, spacy, table:FILE.")
    installed = has_model(VECTORS)
    if kind == "spacy" and not installed:
        raise UsageError(
            f"amber: similarity=spacy needs spaCy and {VECTORS}: `pip install spacy` and "
            f"`python -m spacy download {VECTORS}`, or use similarity=exact or similarity=table:FILE."
        )
    return ("spacy" if installed else "exact") if kind == "auto" else setting


def load_similarity(setting: str) -> Similar:
    """The similarity test called ``setting`` (exact, spacy or table:FILE)."""
    kind, _, file = setting.partition(":")
    if kind == "table":
        return table_similarity(read_table(Path(file)))
    return spacy_similarity() if kind == "spacy" else exact_similarity


def exact_similarity(one: str, other: str) -> bool:
    return one == other


def table_similarity(pairs: Mapping[tuple[str, str], float]) -> Similar:
    """Similar are equal words and the pairs (either way round) of a value above the threshold."""
    close = {pair for pair, value in pairs.items() if value > THRESHOLD}
    close |= {(other, one) for one, other in close}
    return lambda one, other: one == other or (one, other) in close


def spacy_similarity() -> Similar:
    """spaCy's cosine of word vectors, as the official scorer computes it."""
    nlp = load_spacy(VECTORS)
    document = functools.cache(nlp)

    @functools.cache
    def similar(one: str, other: str) -> bool:
        return bool(document(one).similarity(document(other)) > THRESHOLD)

    return similar


def read_table(path: Path) -> dict[tuple[str, str], float]:
    """A similarity table: JSON ([[word, word, value], ...]), JSON lines of such rows or of objects with the fields a,
    b and similarity, or lines of "word<TAB>word<TAB>value". What is in the file decides, not its name."""
    text = read_text(path)
    if text.lstrip()[:1] in ("[", "{"):
        rows = [row for _, row in iter_values(path)] if _is_json_lines(text) else read_json(path)
    else:
        rows = [line.split("\t") for line in text.splitlines() if line.strip()]
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected an array of [word, word, similarity].")
    return dict(_pair(path, number, row) for number, row in enumerate(rows, start=1))


def _is_json_lines(text: str) -> bool:
    """Whether the first line is a row of its own: an object, or a list that begins with a word."""
    first = text.lstrip().partition("\n")[0]
    return first.startswith("{") or re.match(r'\[\s*"', first) is not None


def _pair(path: Path, number: int, row: Any) -> tuple[tuple[str, str], float]:
    if isinstance(row, dict):
        row = [row.get("a"), row.get("b"), row.get("similarity")]
    try:
        one, other, value = row
        return (str(one), str(other)), float(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} row {number}: expected [word, word, similarity], found {row!r}.") from error
