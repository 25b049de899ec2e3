"""What a judge rates, apart from what it quotes, weighs or denies: a doubtful rating is no rating."""

from __future__ import annotations

import re

from benchmarks.common.replies import NEAR, field_of, is_introduced, own_words

BEST = 6
"""Of MMHal-Bench's scale, which begins at 0."""
DECIDING = frozenset(
    {"choose", "final", "finally", "revised", "look", "conclusion", "therefore", "thus", "hence", "settle"}
)
"""Words by which a later rating replaces an earlier one of its line."""
LEAD = DECIDING | frozenset(
    word
    for words in (
        "i i'd we it would do can will must chose select give gave assign am giving get gets receives deserves earns",
        "this that the a an my our overall numeric numerical resulting so accordingly to answer answer's response",
        "response's lmm lmm's model model's prediction of for in on as with and summary based above analysis is are",
        "here after second closer score grade rating correctness partially partly mostly fully completely correct",
    )
    for word in words.split()
)
"""Words that may stand before a rating in its sentence: any other may deny it or put it into somebody's mouth."""
CONNECTING = frozenset(
    {
        "or",
        "to",
        "and",
        "maybe",
        "perhaps",
        "possibly",
        "rather",
        "but",
        "no",
        "not",
        "then",
        "even",
        "vs",
        "versus",
        "a",
    }
)
MARKS = frozenset({"->", "=>", "→", "-", "–", "—", "/", "~", ",", ";", "&", "|"})
NAMED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = frozenset(NAMED)
_NAMES = {str(number): name for number, name in enumerate(NAMED)}
COMPARED = frozenset(["higher", "lower", "more", "less", "above", "below", "better", "worse", "so"])
"""Words that make a number the end of a range ("3 or higher")."""
DOUBT = frozenset(["if", "unless", "is", "was", "were", "would", "could", "seems", "may", "might", "at", "plus"])
"""First words after a rating that take it back or make it hang on something."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_TOKEN = re.compile(r"[^\W\d_]+|[0-9]+|->|=>|[^\w\s]")
_ATTRIBUTED = re.compile(
    r"[^\w\n]{0,9}(?:(?:as|is)\s)?(?:says|said|wrote|quoted|quoting|copied)\s(?:(?:from|in|by)\s)?"
    r"the\s(?:answer|response|lmm|model)\b",
    re.IGNORECASE,
)
"""Behind a rating: whose it is ("quoted from the answer")."""
_DRESSING = frozenset("*_`()[]{}\"'$")


def is_plain(text: str, start: int, end: int) -> bool:
    """Whether what stands in ``text[start:end]`` is said for certain, by who speaks: neither quoted nor one of several.

    What is looked at is the rest of its sentence before it and what directly follows it.
    """
    before = _before(text, start)
    if before.count('"') % 2 or before.count("“") > before.count("”") or is_introduced(text, start):
        return False
    after = text[end : end + NEAR]
    return _words(before) <= LEAD and not _goes_on(after) and not _ATTRIBUTED.match(after)


def _before(text: str, start: int) -> str:
    """What of a sentence stands before ``start``."""
    begin = max(0, start - NEAR)
    return text[max(begin, *(text.rfind(mark, begin, start) + 1 for mark in ".!?;\n")) : start]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.replace("’", "'").lower()))


def _goes_on(after: str) -> bool:
    """Whether another number follows as an alternative ("or 5", "-> 2"), or a word of doubt."""
    connected = worded = False
    for token in _TOKEN.findall(after.lower()):
        if token in _DRESSING:
            continue
        if token in ("?", "+", "%") and not connected:
            return True
        if token in DOUBT and not worded:
            return True
        if token in CONNECTING or token in MARKS:
            connected, worded = True, worded or token in CONNECTING
            continue
        return connected and (token.isdigit() or (worded and token in NUMBERS | COMPARED))
    return False


# "Rating: 5", "**Rating**: 4", "Rating:\n4", "rating is 3", "Rating (0-6): **6**/6", "<rating>1", "4.0"; ranges,
# fractions and N/A are off the menu.
_RATING = re.compile(
    r"(?<![a-z])rating(?![a-z])(?P<closed>[\"”])?>?(?:\s*[(\[]\s*0\s*(?:[-–—]|to)\s*6\s*[)\]])?"
    r"[\s*_`$\"'#:：=(\[|–—]*(?:(?:is|should\sbe)\b[\s*_`$\"':]*)?"
    r"(?P<value>[+-]?[0-9]+(?:[.,][0-9]+)*(?:\s*[-–—]\s*[0-9]+)?|n/?a\b|none\b)[*_`]*"
    r"(?:\s*(?:/|out of)\s*(?P<scale>[0-9]+(?:\.[0-9]+)?))?",
    re.IGNORECASE,
)
_WHOLE = re.compile(r"\+?([0-9]+)(?:\.0{1,9})?")
_SCALE = [str(score) for score in range(BEST, -1, -1)]
_TO = r"(?=[^\w/%]{0,3}(?:$|[^\w\s/%]|\n|(?:because|since|as|for|given|but|then|is|would|instead|rather|now)\b))"
"""Behind a number that stands for itself: nothing, a mark, a word about it; "2 dogs" counts something."""
# "Rating: 0, I mean 5", "Rating: 0. Sorry, it is a five."
_CORRECTED = re.compile(
    r"(?:^|[\n.,;:!?()–—-])[^\w\n]{0,3}(?:(?:but|or|and|oh|well|um|hmm|no)\W{1,3})?"
    r"(?:i\smeant?|sorry|correct(?:ion|ed|ing)|edit|update|actually|wait|oops|scratch\sthat|no|rather|instead|(?:make|change)\s"
    r"(?:it|that)|(?:it|that|this)\sshould(?:\sbe|\shave\sbeen)|(?:changed|revised)|on\ssecond\sthoughts?)"
    r"(?:\W{1,5}(?:it|it's|that|is|a|an|to|my|the|rating|score|be|should|i|i'd|give|say|go|with|for|as|no|sorry|meant?)"
    r"\b){0,5}\W{1,5}(?:[0-9]+|" + "|".join(sorted(NUMBERS)) + r")\b(?:\s?(?:/|out\sof|of)\s?6)?" + _TO,
    re.IGNORECASE,
)
# "Rating: 0. It deserves a 5."
_RATED_AGAIN = re.compile(
    r"(?<!not\s)(?<!n't\s)"
    r"\b(?:deserves?|merits?|warrants?|earns?|gets?|receives?|(?:i(?:'d|\swould)?|we)\s(?:rate|give|score))\b"
    r"(?:\s(?:it|this|that|the|a|an|response|answer|rating|score|of|as|at|least|be|to)\b){0,5}\W{1,4}"
    r"(?P<number>[0-9]+|" + "|".join(sorted(NUMBERS)) + r")\b(?:\s?(?:/|out\sof|of)\s?6)?" + _TO,
    re.IGNORECASE,
)
# "Rating: 5\nFinal score: 1". Within a sentence a score may be what the picture shows, or what the best one would need.
_NAMED_AGAIN = re.compile(
    r"(?:^|\n|[.!?]\s)[\s*_#>-]{0,9}(?:(?:so|thus|hence|therefore|my|the|overall)[\s,]{1,2}){0,3}"
    r"(?:(?:final|revised|updated|corrected|adjusted)(?:\s(?:score|verdict|grade|answer(?=[*_]{0,3}[:：])))?|score)\b"
    r"(?:\s(?:is|should|be))*[\s*_`\"':：=–—-]{1,6}(?P<number>10|[0-9]|" + "|".join(sorted(NUMBERS)) + r")\b"
    r"(?!\s?[-–:.]\s?[0-9])(?:\s?(?:/|out\sof|of)\s?6)?" + _TO,
    re.IGNORECASE,
)
_SECOND = re.compile(r"(?<![\w./])(?:10|[0-9])(?![\w/%]|[.,][0-9])" + _TO)
_ON_THE_SCALE = re.compile(r"\b0\s*(?:[-–—]|to|and)\s*6\b|\b(?:out\s)?of\s6\b", re.IGNORECASE)


def read_rating(reply: str) -> int | None:
    """The rating of the reply's last line, or the only one it gives; None unless it is plain and from 0 to 6.

    Of different ratings in the last line the last counts where it ends the reply and is said to replace the others
    ("after a second look Rating: 4"). A number beside it in its sentence, or one that corrects it ("0, I mean 5"),
    makes it unreadable. A repetition of the whole scale (the options that the judge was given) rates nothing. Of a JSON
    object the field "rating" is read, a fence around all is none, and what the judge quotes is not its rating.
    """
    if (field := field_of(reply, "rating")) is not None:
        return _on_scale(field.removesuffix(f"/{BEST}"))
    text = own_words(reply).strip("\"“”'")
    matches = _without_scale(list(_RATING.finditer(text)))
    if not matches or _CORRECTED.search(text[matches[-1].end() :]):
        return None
    if _rated_again(text, matches[-1]):
        return None
    last_line = text.rfind("\n") + 1
    closing = [match for match in matches if match.start() >= last_line]
    ratings = {_value(text, match) for match in closing or matches}
    if len(ratings) == 1:
        return ratings.pop()
    last = matches[-1]
    replaces = closing and DECIDING & _words(_before(text, last.start())) and not _WORD.search(text, last.end())
    return _value(text, last) if replaces else None


def _without_scale(matches: list[re.Match[str]]) -> list[re.Match[str]]:
    kept: list[re.Match[str]] = []
    for match in matches:
        kept.append(match)
        if [_whole(m["value"]) for m in kept[-len(_SCALE) :]] in (_SCALE, _SCALE[::-1]):
            del kept[-len(_SCALE) :]
    return kept


def _value(text: str, match: re.Match[str]) -> int | None:
    start = text.rfind('"', 0, match.start()) if match["closed"] else match.start()  # {"rating": 4}
    rating = _on_scale(match["value"]) if _whole(match["scale"] or str(BEST)) == str(BEST) else None
    plain = rating is not None and is_plain(text, max(start, 0), match.end())
    return rating if plain and not _another(text, match) else None


def _whole(number: str) -> str:
    """A whole number without sign and decimals ("4.0" is "4"); anything else as it is."""
    match = _WHOLE.fullmatch(number)
    return match[1] if match else number


def _on_scale(number: str) -> int | None:
    return int(_whole(number)) if _whole(number) in _SCALE else None


def _rated_again(text: str, match: re.Match[str]) -> bool:
    """Whether a later sentence gives another rating in other words."""
    value = _whole(match["value"])
    plain = text.replace("’", "'")
    later = (again for form in (_RATED_AGAIN, _NAMED_AGAIN) for again in form.finditer(plain, match.end()))
    return any(again["number"].lower() not in (value, _NAMES.get(value)) for again in later)


def _another(text: str, match: re.Match[str]) -> bool:
    """Whether the rest of the rating's sentence gives another number that stands for itself; in JSON, fields do."""
    rest = re.split(r"[.!?]\s|\n", text[match.end() : match.end() + NEAR], maxsplit=1)[0]
    second = _SECOND.findall(_ON_THE_SCALE.sub("", rest))
    return not match["closed"] and any(number != _whole(match["value"]) for number in second)
