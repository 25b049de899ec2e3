"""What a sentence on what is there says to a question: that what was asked for is there, that it is not, or neither.

Only a plain sentence about the thing that was asked for decides. Whatever limits, doubts or turns it ("only a dog", "no
image", "not a cat but a dog") decides nothing.
"""

from __future__ import annotations

import re

_ASKED = re.compile(r"[\W_]*(?:is|are) there (?P<what>[^?]*?)(?: (?:in|on|at|between)\b[^?]*)?\?")
_CLAUSE = re.compile(r"[^.,;:!?]*")
_SENTENCE = re.compile(r"[^.;!?]*")
_PLACE = re.compile(r" (?:in|on|at|of|between|with|near|behind|under|to|for|from|by|about|that|which|who|than)\b")
_AMOUNT = re.compile(r"\b(?:group|pair|couple|lot|number|bunch|herd|flock) of ")
_OR = re.compile(r" (?:and|or|nor) ")
_AND = re.compile(r" (?:and|with) ")
_TURN = re.compile(
    r"\b(?:but|however|instead|rather|though|although|except|besides|apart|aside|unless|other|else|only|just|merely)\b"
)
"""What turns or limits a denial: more than the dog may be meant, or something else."""
_NOT = re.compile(rf"{_TURN.pattern}|\b(?:no|not|without)\b")
_IS_SEEN = re.compile(
    r"(?: is| are| was| were| can be| could be|'s|'re)(?: not|n't)?"
    r" (?:visible|present|there|here|seen|shown|depicted|pictured)\b.*"
)
_ARTICLES = frozenset(("a", "an", "the", "it", "they", "any", "some", "such", "single", "visible", "this", "that"))
_SEEN = frozenset(
    ("visible", "present", "here", "there", "shown", "seen", "depicted", "pictured", "either", "anywhere")
)
"""What may follow a noun that is said to be there, or not."""
_NUMBERS = frozenset(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
)
_ONES = frozenset(("", "ne", "one", "any", "none", "some", "such"))
_DOUBT = frozenset(
    (
        *("doubt", "way", "enough", "nothing", "nobody", "chance", "possibility", "hardly", "barely", "maybe"),
        *("perhaps", "possibly", "probably", "might", "may", "could", "insufficient", "unclear", "idea", "clue"),
        *("comment", "answer", "problem", "opinion", "longer", "matter", "surprise", "question", "reason", "sure"),
        *("evidence", "indication", "sign", "detail", "context", "need", "know", "knows", "missing"),
        *("absent", "lacking", "zero", "certain", "certainty", "anything"),
    )
)
"""Words that make a sentence on what is there say neither that it is nor that it is not."""
_PARTLY = frozenset(
    ("clear", "clearly", "fully", "entirely", "completely", "well", "properly", "exactly", "more", "less")
)
"""Words that make a denial one of a part or of a degree only."""
_SHOWN = frozenset(("image", "picture", "photo", "photograph", "figure", "information", "data", "screenshot", "file"))
"""What a question is about, and never what it asks for: "There is no image" denies nothing."""
_OTHER_THINGS = frozenset(("hot", "corn", "teddy", "toy", "stuffed", "fake"))
"""Words that make another thing of the noun they stand before: a hot dog is no dog."""
_PLURALS = {"people": "person", "men": "man", "women": "woman", "children": "child", "knives": "knife"}


def denies(text: str, at: int, asked: str) -> bool:
    """Whether to deny what begins at character ``at`` of ``text`` denies what was ``asked``, both in lower case.

    Without a question whatever is denied is what was asked.
    """
    clause = _match(_CLAUSE, text, at)
    words = set(_words(clause))
    if turns(text, at) or not words.isdisjoint(_DOUBT | _PARTLY):
        return False
    phrases = [_words(_PLACE.split(f" {_IS_SEEN.sub('', each).strip()}")[0]) for each in _OR.split(clause)]
    if not re.search(r"\w", asked):
        return set(phrases[0]).isdisjoint(_SHOWN)
    wanted = _ASKED.match(asked)
    if all(set(phrase) - _ARTICLES <= _ONES for phrase in phrases):
        return wanted is not None
    if wanted is not None:
        of = set(_words(wanted["what"]))
        return any(_is_thing(phrase, _head(wanted["what"]), of) for phrase in phrases)
    of = set(_words(asked))
    return any(_is_thing(phrase, each, of) for phrase in phrases for each in of - _ARTICLES)


def turns(text: str, at: int) -> bool:
    """Whether the sentence that begins at character ``at`` limits what it denies, or turns: "but in the background"."""
    return bool(_TURN.search(_match(_SENTENCE, text, at)))


def affirms(text: str, at: int, asked: str) -> bool:
    """Whether what is said to be there from character ``at`` of ``text`` is what was ``asked`` for."""
    clause = _NOT.split(_match(_CLAUSE, text, at))[0]
    said = set(_words(clause))
    if not said.isdisjoint(_DOUBT):
        return False
    if not re.search(r"\w", asked):
        return bool(said)
    wanted = _ASKED.match(asked)
    if wanted is None or " or " in clause:
        return False
    of = set(_words(wanted["what"])) - _ARTICLES
    if not of & _NUMBERS <= said:
        return False
    if said <= _ONES | of & _NUMBERS:
        return True
    phrases = [_words(_PLACE.split(f" {each.strip()}")[0]) for each in _AND.split(_AMOUNT.sub("", clause))]
    return any(_has_thing(phrase, _head(wanted["what"]), of) for phrase in phrases)


def _is_thing(phrase: list[str], noun: str, of: set[str]) -> bool:
    """Whether all that a denial says of the ``noun`` was asked ``of`` it: no brown dog may still be a black one."""
    if noun not in phrase or not _SHOWN.isdisjoint(phrase):
        return False
    end = phrase.index(noun)
    return set(phrase[:end]) <= of | _ARTICLES and set(phrase[end + 1 :]) <= of | _SEEN


def _has_thing(phrase: list[str], noun: str, of: set[str]) -> bool:
    """Whether the ``noun`` of a phrase is there with all that was asked ``of`` it, and is no part of another's name."""
    if noun not in phrase:
        return False
    end = phrase.index(noun)
    names_other = not set(phrase[:end]) & _OTHER_THINGS <= of
    follows = phrase[end + 1] if end + 1 < len(phrase) else "here"
    goes_with = follows in _SEEN | of or follows.endswith(("ing", "ed"))
    return goes_with and not names_other and of <= {*phrase, *_ARTICLES}


def _head(what: str) -> str:
    """The noun that was asked for: the last word of "a dining table"."""
    words = what.split()
    return _stem(words[-1]) if words else ""


def _match(pattern: re.Pattern[str], text: str, at: int) -> str:
    found = pattern.match(text, at)
    return found[0] if found else ""


def _words(text: str) -> list[str]:
    return [_stem(word) for word in re.findall(r"[a-z0-9]+", text)]


def _stem(word: str) -> str:
    word = _PLURALS.get(word.strip("'\"*_"), word.strip("'\"*_"))
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
