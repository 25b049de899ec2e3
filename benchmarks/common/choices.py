"""Which of the options of a multiple-choice question an answer takes, by its letter or by its text.

An answer that names several, none, or one that is not offered takes none: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

LETTERS = "ABCDEFGHIJ"
_LISTED = re.compile(r"\b(?:options|choices)\s*:", re.IGNORECASE)
_DRESS = re.compile(r"[*_`\"“”]+")
_ALONE = re.compile(r"\(?([A-Ja-j])\)?[.:)]?")
_AND_ANOTHER = r"(?!\s*(?:,|/|&|\+|\bor\b|\band\b)\s*\(?[A-J]\b)"
_FIRST = re.compile(
    rf"(?:option\s+|choice\s+|answer\s*:\s*)?(?:\(([A-J])\)|([A-J])(?=\s*(?:[.:),;\n-]|$))){_AND_ANOTHER}", re.I
)
_SAID = re.compile(
    rf"\b(?:answer|option|choice)\s*(?:is|:|would be|must be|should be)\s*:?\s*(?:option\s+|choice\s+)?"
    rf"\(?(?-i:([A-J]))\b(?=\)?\s*(?:[.,:;!)\n]|$|because\b|since\b|as\b)){_AND_ANOTHER}",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?\(?([A-J])\)?\}?\s*\}")
_RIGHT = re.compile(r"(?:^|\n)\s*\(?([A-J])\)? is (?:the )?(?:correct|right|best)\b")
_EDGES = " \t\r\n.,;:!'\""


def options_of(question: str) -> dict[str, str]:
    """The options that a question lists, by letter; {} where it lists fewer than two.

    They stand behind "Options:" or "Choices:", as ``A: a dog, B: a cat`` or as lines of ``(A) a dog``, or in such lines
    alone.
    """
    begin = max((mark.end() for mark in _LISTED.finditer(question)), default=question.find("\n(A)"))
    if begin < 0:
        return {}
    text, found = question[begin:], list[tuple[str, int, int]]()
    for letter in LETTERS:
        written = re.compile(rf"(?:^|(?<=[\s,]))(?:\({letter}\)|{letter}[:.](?=\s|$))")
        begins = written.search(text, found[-1][2] if found else 0)
        if begins is None:
            break
        found.append((letter, *begins.span()))
    ends = [start for _, start, _ in found[1:]] + [len(text)]
    texts = [text[begin:end].strip().rstrip(",") for (_, _, begin), end in zip(found, ends, strict=True)]
    return dict(zip((letter for letter, _, _ in found), texts, strict=True)) if len(found) > 1 else {}


def read_choice(answer: str, options: Mapping[str, str]) -> str | None:
    """The letter of the option that ``answer`` takes; None where it takes none of ``options``, or several.

    It is a letter alone or before its text (``B``, ``(b)``, ``B: a cat``), a line that is a letter, a sentence that
    says so (``The answer is B.``, ``\\boxed{B}``), or the text of one option and nothing else. "A dog" is no letter.
    """
    plain = _DRESS.sub("", answer).strip()
    said = set(_letters(plain))
    if not said:
        said = {letter for letter, text in options.items() if text and _folded(text) == _folded(plain)}
    letter = said.pop() if len(said) == 1 else None
    return letter if letter in options else None


def _letters(text: str) -> Iterator[str]:
    """The letters that the answer gives as its own; of one that begins with an option, every line that begins so."""
    lines = [line.strip() for line in text.splitlines()]
    listed = [found for line in lines if (found := _FIRST.match(line))]
    if _FIRST.match(text):
        yield from ((found[1] or found[2]).upper() for found in (listed[:1] if _ALONE.fullmatch(lines[0]) else listed))
    yield from (alone[1].upper() for line in lines if (alone := _ALONE.fullmatch(line)))
    for pattern in (_SAID, _BOXED, _RIGHT):
        yield from (found[1] for found in pattern.finditer(text))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_EDGES)
