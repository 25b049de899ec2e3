"""Yes or no, read out of a free answer: the one reading of every benchmark of yes/no questions.

What official scorers read stands with their benchmarks (REPRODUCE). What says neither, or both, is None: it is counted
as a failed sample, and never guessed.
"""

from __future__ import annotations

import itertools
import re
from typing import Literal

from benchmarks.common.existence import VISIBLE, affirms, denies, turns

YesNo = Literal["yes", "no"]

PARSER = "parser=yes-no-5"
"""Part of the version of every benchmark that reads by ``read_yes_no``."""
UNREADABLE = "the answer says neither yes nor no"
"""The error of an answer that cannot be read."""

LONGEST = 1000
"""Characters of a question that are looked at."""
CLAUSES = 20
"""So many clauses after a sentence on what is there are looked at: one may take it back."""

_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Control characters that set no lines and columns: what holds them is the output of something that went wrong."""

_WORD = (
    r"(?P<{0}>yes|yeah|yep|yup|no|nope|nah)(?![^\W_])"
    r"(?!\W*(?:or|and)\W+(yes|no)\b| ?[/|&] ?(yes|no)\b)"  # one of two
    r"(?![ -]one (?:can|could|would|know|knows|has|is able)\b)"
)
_SURE = (
    r"(?:definitely|absolutely|certainly|of course)[ ,]+(?P<sure>not\b(?! (?:sure|clear|certain|possible|enough)\b))?"
)
_SURELY = re.compile(r"[\W_]*(?:definitely|absolutely|certainly|of course)[\W_]*")
_ABSENT = rf"{VISIBLE}(?! enough\b)"
_SEEN = re.compile(_ABSENT)
_FIRST = re.compile(
    rf"[\W_]*(?:{_SURE})?(?:{_WORD.format('word')}"
    rf"|(?P<denied>not (?:(?:at all|really)\b(?! (?:clear|sure|certain)\b)|{_ABSENT}))"
    r"|(?(sure)|(?!)))"
)
_STATED = re.compile(
    r"(?<!\bnot )(?<!n't )(?<!\bunable to )\banswer(?: to (?:the|this|that|your) question)?(?: is| would be)?"
    rf"[ :,\"'*_`\u201c\u2018]{{1,6}}{_WORD.format('word')}"
)
_NEXT = re.compile(r"[*_]* +[*_]*(?P<what>(?P<next>[a-z0-9']+))")
"""A word that follows with no punctuation between."""
_BEGINS = frozenset(
    (
        *("a", "an", "the", "this", "that", "these", "those", "it", "it's", "its", "they", "i", "i'm", "we", "you"),
        *("he", "she", "his", "her", "their", "there", "there's", "here", "none", "neither", "nothing", "not"),
        *("because", "as", "since", "so", "but", "and", "or", "based", "according", "unfortunately", "actually"),
        *("is", "are", "was", "were", "does", "do", "in", "on", "at", "from", "for", "sorry"),
    )
)
"""Before these words "no" is an answer ("No there is none"); before others it denies what they name ("No image")."""
_ECHO = re.compile(r"[^?.!]*\?")
"""The question, said again before the answer."""
_SEES = re.compile(
    r"[\W_]*(?:there(?: (?:is|are|appears? to be|seems? to be)|'s)"
    r"|i (?:can )?see|(?:the|this) (?:image|picture|photo|scene) (?:shows|contains|includes|depicts|features|has))"
    r"(?P<no> not\b|n't| no(?=ne\b)| no\b| neither)?(?P<what>)"
)
_SEES_NOT = re.compile(
    r"[\W_]*(?:there (?:do|does)(?: not|n't) (?:appear|seem) to be|i do(?: not|n't) see"
    r"|i can(?:not| not|'t) see(?! (?:any|anything|it|one)\W*$)"
    r"|(?:the|this) (?:image|picture|photo|scene) does(?: not|n't) (?:show|contain|include|depict|feature|have))"
    r"(?P<what>)"
)
_THING = r"[\W_]*(?P<what>it|they|(?:the|a|an|any) [a-z]+(?: [a-z]+){0,2}?)(?: is| are|'s|'re)"
_UNSEEN = re.compile(rf"{_THING}(?: not|n't) {_ABSENT}")
_IS_THERE = re.compile(rf"{_THING}(?P<no>) {_ABSENT}")
_NEXT_CLAUSE = re.compile(r"[.,;:!?]+[\W_]*(?:(?:but|and|yet|however|though|although)\b,? *)?")


def read_yes_no(answer: str, question: str = "") -> YesNo | None:
    """What ``answer`` says to ``question``; None where that is neither, or both.

    Read are the first word ("Yes, there is.", "**No**", "Nope"), a denial ("Not visible"), "the answer is no" wherever
    it stands, and what is there or is not ("There is no dog", "No dog is seen", "I don't see a dog"). Such a sentence
    answers a question of what is there about the same thing in the same number: "There is a cat" answers nothing about
    a dog, "There are three" nothing about two, "No image was given" nothing at all. Without a ``question`` it is taken
    to be about what was asked.
    """
    if _NO_TEXT.search(answer):
        return None
    lines = "\n".join(" ".join(line.split()) for line in answer.lower().replace("\u2019", "'").splitlines()).strip()
    text = re.sub(r"\n+", "\n", lines)
    asked = " ".join(question[:LONGEST].lower().split())
    flat = text.replace("\n", " ")
    first = _first(text, 0, asked)
    if first is None and (echo := _ECHO.match(flat)):
        first = _first(text, echo.end(), asked)
    said = {first, *(_polarity(text, stated, asked) for stated in _STATED.finditer(flat))} - {None}
    return said.pop() if len(said) == 1 else None


def _polarity(text: str, match: re.Match[str], asked: str) -> YesNo | None:
    """What the word that was matched says; a "no" that belongs to the next word ("No dog") is a denial of that."""
    if match["word"] != "no":
        return "no" if match["word"].startswith("n") else "yes"
    follows = _NEXT.match(text, match.end("word"))
    if follows is None or follows["next"] in _BEGINS:
        return "no"
    return "no" if denies(text, follows.start("what"), asked) else None


def _first(text: str, at: int, asked: str) -> YesNo | None:
    """What ``text`` says that begins at character ``at``."""
    flat = text.replace("\n", " ")
    if _SURELY.fullmatch(flat, at):
        return "yes"
    first = _FIRST.match(flat, at)
    if first is None:
        said = _existence(flat, at, asked)
        clauses = itertools.islice(_NEXT_CLAUSE.finditer(flat, at), CLAUSES)
        later = {_existence(flat, clause.end(), asked) for clause in clauses}
        return said if later <= {said, None} else None
    if first["word"]:
        return _polarity(text, first, asked)
    if first["denied"]:
        return None if turns(flat, first.end()) else "no"
    follows = _NEXT.match(text, first.end())
    if follows is None or _SEEN.match(flat, follows.start("what")):
        return None if turns(flat, first.end()) else "no"
    return "no" if denies(flat, follows.start("what"), asked) else None


def _existence(text: str, at: int, asked: str) -> YesNo | None:
    """What a sentence on what is there says to a question of what is there."""
    if unseen := _SEES_NOT.match(text, at) or _UNSEEN.match(text, at):
        return "no" if denies(text, unseen.start("what"), asked) else None
    if not (sees := _SEES.match(text, at) or _IS_THERE.match(text, at)):
        return None
    if sees["no"]:
        return "no" if denies(text, sees.start("what"), asked) else None
    return "yes" if affirms(text, sees.start("what"), asked) else None
