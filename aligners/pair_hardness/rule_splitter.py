"""Splitting by rules: sentences, then clauses; needs no network, and time in proportion to the text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aligners.pair_hardness.splitter import SPLITTERS, Splitter
from harness.protocols.progress import Progress, silent

_SENTENCE_END = re.compile(r"(?<=[.!?;])[\"')\]]*\s+|\n+")
_LONGEST = len(" approx.")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|vs|etc|e\.g|i\.e|approx|No)\.$", re.IGNORECASE)
# "and" starts a clause only before what can start one: "and a bird", not the "and" of "black and white".
_OPENERS = (
    r"(?:an?|the|his|her|its|their|this|that|these|those|some|several|many|another|other|there|it|they|he|she|we|you|"
    r"is|are|was|were|has|have|one|two|three|four|five|six|seven|eight|nine|ten|\d+)"
)
# Runs of blanks are taken whole and from their beginning: else each is tried from and to everywhere in it.
_CLAUSE = re.compile(rf",\s+|(?<!\s)\s++(?=(?:while|with|and\s++{_OPENERS})\s)", re.IGNORECASE)
_MIN_WORDS = 2  # "a cat" can be held against an image, the "red" of "red, white and blue" says too little


class RuleSplitter(Splitter):
    """Sentences, then clauses at commas and before "and", "while" and "with"; needs no network."""

    name = "rule-1"

    def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
        return [_split(text) for text in texts]


def _split(text: str) -> list[str]:
    pieces = [clause for sentence in _sentences(text) for clause in _clauses(sentence)]
    return pieces or [text.strip()]


def _sentences(text: str) -> list[str]:
    out: list[list[str]] = []
    for part in filter(None, (part.strip() for part in _SENTENCE_END.split(text))):
        if out and _ABBREVIATION.search(out[-1][-1][-_LONGEST:]):
            out[-1].append(part)
        elif re.search(r"\w", part):  # a stray " ." says nothing
            out.append([part])
    return [" ".join(parts) for parts in out]


def _clauses(sentence: str) -> list[str]:
    """Clauses of at least two words; a shorter one stays with its predecessor, or with its successor at the start."""
    cuts = [match.span() for match in _CLAUSE.finditer(sentence)]
    starts, ends = [0, *(end for _, end in cuts)], [*(start for start, _ in cuts), len(sentence)]
    spans: list[tuple[int, int]] = []
    before = 0  # words of the last span
    for start, end in zip(starts, ends, strict=True):
        words = _words(sentence[start:end])
        if spans and min(words, before) < _MIN_WORDS:
            spans[-1], before = (spans[-1][0], end), before + words
        else:
            spans.append((start, end))
            before = words
    return [sentence[start:end].strip() for start, end in spans]


def _words(clause: str) -> int:
    words = re.findall(r"\w+", clause)
    return len([word for word in words if word.lower() not in {"and", "while", "with"}])


SPLITTERS.register("rule", RuleSplitter)
