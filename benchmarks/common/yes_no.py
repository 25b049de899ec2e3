"""Yes or no, read out of a free answer: the one reading of every benchmark of yes/no questions.

What official scorers read stands with their benchmarks (REPRODUCE). What says neither, or both, is None: it is counted
as a failed sample, and never guessed.
"""

from __future__ import annotations

import re
from typing import Literal

YesNo = Literal["yes", "no"]

PARSER = "parser=yes-no-3"
"""Part of the version of every benchmark that reads by ``read_yes_no``."""
UNREADABLE = "the answer says neither yes nor no"
"""The error of an answer that cannot be read."""

LONGEST = 1000
"""Characters of a question that are looked at."""

_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Control characters that set no lines and columns: what holds them is the output of something that went wrong."""

_WORD = (
    r"(?P<{0}>yes|yeah|yep|yup|no|nope|nah)(?![^\W_])"
    r"(?!\W*(?:or|and)\W+(yes|no)\b| ?[/|&] ?(yes|no)\b)"  # one of two
    # What follows makes these say nothing, or yes: "No idea", "No doubt".
    r"(?! (?:idea|clue|comment|answer|doubt|problem|opinion|information|longer|way (?:to|of))\b)"
    r"(?! (?:image|picture|photo) (?:is |was )?(?:provided|attached|given|available|found|uploaded)\b)"
)
_SURE = r"(?:definitely|absolutely|certainly|of course)[ ,]+(?P<sure>not\b(?! (?:sure|clear|certain|possible)\b))?"
_ABSENT = r"(?:visible|present|there|here|seen|shown|depicted|pictured|in th(?:e|is))\b(?! enough\b)"
_FIRST = re.compile(
    rf"[\W_]*(?:{_SURE})?(?:{_WORD.format('word')}"
    rf"|(?P<denied>not (?:(?:at all|really)\b(?! (?:clear|sure|certain)\b)|{_ABSENT}))"
    r"|(?(sure)|(?!)))"
)
_STATED = re.compile(
    rf"\banswer(?: to (?:the|this|that|your) question)?(?: is| would be)?:?[\W_]{{1,6}}{_WORD.format('word')}"
)
_ECHO = re.compile(r"[^?.!]*\?")
"""The question, said again before the answer."""
_SEES = re.compile(
    r"[\W_]*(?:there(?: (?:is|are|appears? to be|seems? to be)|'s)"
    r"|i (?:can )?see|(?:the|this) (?:image|picture|photo|scene) (?:shows|contains|includes|depicts|features|has))"
    r"(?P<no> not\b|n't| no(?=ne\b)| no\b| neither)?(?P<what>[^.,;:!?]*)"
)
_SEES_NOT = re.compile(
    r"[\W_]*(?:there (?:do|does)(?: not|n't) (?:appear|seem) to be|i do(?: not|n't) see"
    r"|(?:the|this) (?:image|picture|photo|scene) does(?: not|n't) (?:show|contain|include|depict|feature|have))"
    r"(?P<what>[^.,;:!?]*)"
)
_UNSEEN = re.compile(
    r"[\W_]*(?P<what>it|they|(?:the|a|an|any) [a-z]+(?: [a-z]+){0,2}?)(?: is| are|'s|'re)(?: not|n't) " + _ABSENT
)
_ASKED = re.compile(r"[\W_]*(?:is|are) there (?P<what>[^?]*?)(?: (?:in|on|at|between)\b[^?]*)?\?")
_TURN = re.compile(r" (?:but|however|no|not|without|instead|though|except)\b")
_PLACE = re.compile(r" (?:in|on|at|of|between|with|near|behind|under|to|for|from|by|that|which|who|than)\b")
_NUMBERS = frozenset(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
)
_ONES = frozenset(("", "ne", "one", "any", "none", "some", "such"))
_DOUBT = frozenset(
    (
        *("doubt", "way", "enough", "nothing", "nobody", "chance", "possibility", "hardly", "barely", "maybe"),
        *("perhaps", "possibly", "probably", "might", "may", "could", "insufficient", "unclear"),
    )
)
"""Words that make a sentence on what is there say neither that it is nor that it is not."""
_PLURALS = {"people": "person", "men": "man", "women": "woman", "children": "child", "knives": "knife"}


def read_yes_no(answer: str, question: str = "") -> YesNo | None:
    """What ``answer`` says to ``question``; None where that is neither, or both.

    Read are the first word ("Yes, there is.", "**No**", "Nope"), a denial ("Not visible"), "the answer is no" wherever
    it stands, and what is there or is not ("There is no dog", "I don't see a dog"). Such a sentence answers a question
    of what is there about the same thing in the same number: "There is a cat" answers nothing about a dog, "There are
    three" nothing about two. Without a ``question`` it is taken to be about what was asked.
    """
    if _NO_TEXT.search(answer):
        return None
    text = " ".join(answer.lower().replace("\u2019", "'").split())
    asked = " ".join(question[:LONGEST].lower().split())
    said = {_polarity(stated["word"]) for stated in _STATED.finditer(text)}
    first = _first(text, asked)
    if first is None and (echo := _ECHO.match(text)):
        first = _first(text[echo.end() :], asked)
    if first is not None:
        said.add(first)
    return said.pop() if len(said) == 1 else None


def _polarity(word: str) -> YesNo:
    return "no" if word.startswith("n") else "yes"


def _first(text: str, asked: str) -> YesNo | None:
    """What the beginning of ``text`` says."""
    if first := _FIRST.match(text):
        return _polarity(first["word"] or "not")
    return _existence(text, asked)


def _existence(text: str, asked: str) -> YesNo | None:
    """What a sentence on what is there says to a question of what is there."""
    if unseen := _SEES_NOT.match(text) or _UNSEEN.match(text):
        return "no" if _denies(unseen["what"], asked) else None
    if not (sees := _SEES.match(text)):
        return None
    if sees["no"]:
        return "no" if _denies(sees["what"], asked) else None
    return "yes" if _affirms(_TURN.split(sees["what"])[0], asked) else None


def _denies(what: str, asked: str) -> bool:
    """Whether to deny ``what`` denies what was asked."""
    thing = _words(_PLACE.split(f" {what.strip()}")[0]) - {"a", "an", "the", "it", "they"}
    if not re.search(r"\w", asked) or thing <= _ONES:
        return thing.isdisjoint(_DOUBT)
    wanted = _ASKED.match(asked)
    if wanted is None:
        return bool({word for word in thing if len(word) > 2} & _words(asked))
    numbers = thing & _NUMBERS
    return _head(wanted["what"]) in thing and numbers <= _words(wanted["what"])


def _affirms(clause: str, asked: str) -> bool:
    """Whether what a ``clause`` says to be there is what was asked for."""
    said = _words(clause)
    if not said.isdisjoint(_DOUBT):
        return False
    if not re.search(r"\w", asked):
        return bool(said)
    wanted = _ASKED.match(asked)
    if wanted is None:
        return False
    numbers = _words(wanted["what"]) & _NUMBERS
    return numbers <= said and (_head(wanted["what"]) in said or said <= _ONES | numbers)


def _head(what: str) -> str:
    """The noun that was asked for: the last word of "a dining table"."""
    words = what.split()
    return _stem(words[-1]) if words else ""


def _words(text: str) -> set[str]:
    return {_stem(word) for word in re.findall(r"[a-z0-9]+", text)}


def _stem(word: str) -> str:
    word = _PLURALS.get(word.strip("'\"*_"), word.strip("'\"*_"))
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
