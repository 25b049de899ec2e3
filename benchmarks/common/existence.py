"""What a sentence on what is there says to a question: that what was asked for is there, that it is not, or neither.

Only a plain sentence about the thing that was asked for decides. Whatever limits, doubts or turns it ("only a dog", "no
image", "not a cat but a dog") decides nothing.
"""

from __future__ import annotations

import re

_SHOWING = "image|picture|photo|photograph|scene|frame|figure|view"
"""What a question is about, as a pattern."""
IN_IT = rf"in (?:(?:th(?:e|is|at)|your) (?:given |provided )?(?:{_SHOWING})|sight\b|view\b)"
VISIBLE = rf"(?:visible|present|there|here|seen|shown|depicted|pictured|{IN_IT})\b"
"""A pattern of what is said of a thing that is there, or is not."""
_ASKED = re.compile(
    r"[\W_]*(?:(?:is|are) there|(?:can|do) you see) (?P<what>[^?]*?)(?: (?:in|on|at|between)\b[^?]*)?\?"
)
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
_ELSE = re.compile(
    r"[,;]? (?:but|however|though|although),? (?:there (?:is|are)|there's|i (?:can )?see|it (?:shows|contains|has)"
    rf"|(?:the|this) (?:{_SHOWING}) (?:shows|contains|includes|depicts|features|has)) (?P<else>.*)"
)
"""A sentence of its own after a denial ("There is no dog, but there is a cat"), which may name what it denied again."""
_IS_SEEN = re.compile(rf"(?: is| are| was| were| can be| could be|'s|'re)(?: not|n't)? {VISIBLE}(?P<rest>.*)")
_IN_IT = re.compile(rf" {IN_IT}\b(?!.*(?:\bnot\b|n't|\bno\b|\bwithout\b))")
_ARTICLES = frozenset(("a", "an", "the", "it", "they", "any", "some", "such", "single", "visible", "this", "that"))
_SEEN = frozenset(
    ("visible", "present", "here", "there", "shown", "seen", "depicted", "pictured", "either", "anywhere", "at", "all")
)
"""What may follow a noun that is said to be there, or not."""
_NUMBERS = frozenset(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
)
_ONES = frozenset(("", "ne", "one", "any", "none", "some", "such"))
_ELLIPTIC = _ARTICLES | _NUMBERS | _ONES | frozenset(("several", "many", "few", "lots", "plenty", "another", "more"))
_PLACES = frozenset(
    (
        *("in", "on", "at", "of", "between", "with", "to", "for", "from", "by", "that", "which", "who", "be", "is"),
        *("are", "i", "we", "you", "can", "could", "see", "them", "it", "both", "two", "and", "or"),
    )
)
"""What may follow a denied noun beside what was asked; other words narrow the denial ("no dog on the left")."""
_DOUBT = frozenset(
    (
        *("doubt", "way", "enough", "nothing", "nobody", "chance", "possibility", "hardly", "barely", "maybe"),
        *("perhaps", "possibly", "probably", "might", "may", "could", "insufficient", "unclear", "idea", "clue"),
        *("comment", "answer", "problem", "opinion", "longer", "matter", "surprise", "question", "reason", "sure"),
        *("evidence", "indication", "sign", "detail", "context", "need", "know", "knows", "missing"),
        *("absent", "lacking", "zero", "certain", "certainty", "anything", "almost", "nearly", "supposed"),
    )
)
"""Words that make a sentence on what is there say neither that it is nor that it is not."""
_PARTLY = frozenset(
    ("clear", "clearly", "fully", "entirely", "completely", "well", "properly", "exactly", "more", "less")
)
"""Words that make a denial one of a part or of a degree only."""
_SHOWN = frozenset(("image", "picture", "photo", "photograph", "figure", "information", "data", "screenshot", "file"))
"""What a question is about, and never what it asks for: "There is no image" denies nothing."""
_PAGES = frozenset(("chart", "graph", "diagram", "plot", "map", "poster", "video"))
"""What a question reads something off: "There is no chart" denies nothing, unless just that was asked for."""
_OTHER_THINGS = frozenset(
    ("hot", "corn", "teddy", "toy", "stuffed", "fake", "plush", "prairie", "rocking", "sea", "guinea")
)
"""Words that make another thing of the noun they stand before: a hot dog is no dog."""
_NOUNS = frozenset(
    (
        *("bed", "breed", "feed", "seed", "shed", "sled", "weed", "painting", "drawing", "building", "clothing"),
        *("ring", "string", "wing", "thing", "crossing", "housing", "bedding", "carving", "ceiling"),
    )
)
"""Words that end like "lying" and "parked" and make another thing of the noun they follow: a dog bed is no dog."""
_PLURALS = {"people": "person", "men": "man", "women": "woman", "children": "child", "knives": "knife"}


def denies(text: str, at: int, asked: str) -> bool:
    """Whether to deny what begins at character ``at`` of ``text`` denies what was ``asked``, both in lower case.

    Without a question whatever is denied is what was asked.
    """
    clause, sentence = _match(_CLAUSE, text, at), _match(_SENTENCE, text, at)
    if (other := _ELSE.search(sentence)) and not _names_again(other["else"], sentence[: other.start()]):
        clause, sentence = clause[: other.start()], sentence[: other.start()]
    words = set(_words(clause)) - set(_words(asked))  # a stop sign that is asked for is no sign of something
    if _TURN.search(sentence) or _is_question(text, at + len(clause)) or not words.isdisjoint(_DOUBT | _PARTLY):
        return False
    phrases = [_words(_PLACE.split(f" {_IS_SEEN.sub('', each).strip()}")[0]) for each in _OR.split(clause)]
    if not _is_wide(clause, asked):
        return False
    if not re.search(r"\w", asked):
        return set(phrases[0]).isdisjoint(_SHOWN)
    wanted = _ASKED.match(asked)
    if all(set(phrase) - _ARTICLES <= _ONES for phrase in phrases):
        return wanted is not None
    if wanted is not None:
        of = set(_words(wanted["what"]))
        return any(_is_thing(phrase, _head(wanted["what"]), of) for phrase in phrases)
    of = set(_words(asked))
    return any(_is_thing(phrase, each, of) for phrase in phrases for each in of - _ARTICLES - _PAGES)


def turns(text: str, at: int) -> bool:
    """Whether the sentence that begins at character ``at`` limits what it denies, or turns: "but in the background"."""
    return bool(_TURN.search(_match(_SENTENCE, text, at)))


def affirms(text: str, at: int, asked: str) -> bool:
    """Whether what is said to be there from character ``at`` of ``text`` is what was ``asked`` for."""
    whole = _match(_CLAUSE, text, at)
    clause = _NOT.split(whole)[0]
    said = set(_words(clause))
    if not said.isdisjoint(_DOUBT - set(_words(asked))) or _is_question(text, at + len(whole)):
        return False
    if not re.search(r"\w", asked):
        return bool(said)
    wanted = _ASKED.match(asked)
    if wanted is None or " or " in clause:
        return False
    of = set(_words(wanted["what"])) - _ARTICLES
    if not of & _NUMBERS <= said:
        return False
    if said <= _ONES | (of & _NUMBERS or _NUMBERS):
        return True
    clause = _IS_SEEN.sub("", _AMOUNT.sub("", clause))
    phrases = [_words(_PLACE.split(f" {each.strip()}")[0]) for each in _AND.split(clause)]
    return any(_has_thing(phrase, _head(wanted["what"]), of) for phrase in phrases)


def _names_again(other: str, denial: str) -> bool:
    """Whether what is said to be there instead may be what was denied: "one on the right", "two dogs"."""
    named = _words(_PLACE.split(f" {other}")[0])
    again = set(_words(other)) & set(_words(denial)) - _ARTICLES - _SHOWN - _PLACES
    return bool(again) or set(named) <= _ELLIPTIC


def _is_wide(clause: str, asked: str) -> bool:
    """Whether a denial is of the whole image, or of the place that was asked about, and not of a part of it."""
    if not re.search(r"\w", asked):
        return True
    seen = _IS_SEEN.search(clause)
    named = f" {clause[: seen.start()] if seen else clause}".replace("  ", " ")
    place = _PLACE.search(named)
    narrowing = (named[place.start() :] if place else "", seen["rest"] if seen else "")
    known = {*_words(asked), *_ARTICLES, *_SEEN, *_PLACES}
    return all(_IN_IT.match(each) or set(_words(each)) <= known for each in narrowing)


def _is_question(text: str, end: int) -> bool:
    return text[end : end + 1] == "?"


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
    goes_with = follows in _SEEN | of or (follows.endswith(("ing", "ed")) and follows not in _NOUNS)
    return goes_with and not names_other and of <= {*phrase, *_ARTICLES}


def _head(what: str) -> str:
    """The noun that was asked for: the last word of "a dining table"."""
    words = what.split()
    return _stem(words[-1]) if words else ""


def _match(pattern: re.Pattern[str], text: str, at: int) -> str:
    found = pattern.match(text, at)
    return found[0] if found else ""


def _words(text: str) -> list[str]:
    return [_stem(word) for word in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text)]


def _stem(word: str) -> str:
    word = _PLURALS.get(word.strip("'\"*_"), word.strip("'\"*_"))
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
