"""What a judge says of an answer beside a reference: correct, incorrect or unclear (HallusionBench)."""

from __future__ import annotations

import re
from typing import Literal, cast

from benchmarks.common.replies import NEAR, field_of, is_introduced, is_quoted, own_words

Correctness = Literal["correct", "incorrect", "unclear"]

FIELDS = ("verdict", "judgement", "judgment", "correctness", "result", "label")
LEAD = frozenset(
    word
    for words in (
        "i i'd we it it's this that which the a an my our to of as and with for so yes overall final conclusion hence",
        "thus therefore is are was be been being has can should must judge judged consider considered deem deemed find",
        "rate rated assessed regarded marked label make makes making say provided predicted answer answer's answers",
        "response response's responses prediction prediction's predictions output model model's lmm lmm's ai ai's",
        "statement claim result",
        "verdict judgement judgment correctness status evaluation assessment classification grade",
        "student's student generates generated generate by",
        "fully completely entirely totally clearly definitely factually also indeed given based",
    )
    for word in words.split()
)
"""Words that may stand before a verdict in its clause: any other may weaken it ("partially"), deny it, or give it to
somebody else."""
GIVES = frozenset(["gives", "gave", "provides", "provided", "has", "states", "reaches", "selects", "identifies"])
"""Verbs by which "the correct answer" is the one that is judged, and not the reference's."""
FOLLOWING = frozenset(
    word
    for words in (
        "because since as given according based and for considering overall by due with when",
        "whether what how from",
    )
    for word in words.split()
)
"""Words that may follow a verdict; before another one "correct" says which thing is meant ("the correct answer")."""
DETAIL = frozenset(["about", "in"])
"""The same, but behind "correct", which may hold of that part alone ("correct in part")."""
_WORD = re.compile(r"(?<![^\W_])(?<!-)(correct|incorrect|unclear)(?![^\W_])", re.IGNORECASE)
_CLAUSE = re.compile(r"[.,!?;:|()\n。，！？；：]|->|=>|→")
_NAME = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_FOLLOWS = re.compile(r"[\s*_`\"'”’)\]]*(?P<next>[^\W\d_]+|\?)?")
_TURNS = re.compile(r"[\s,;:–—*_()-]{0,9}(?:but|except|although|though|if|unless|only|partially|partly)\b", re.I)
_DENIED = re.compile(
    r"(?:\b(?:not|neither|nor|never|cannot)|n['’]t)\b(?:\W+\w+){0,2}?\W+(?:correct|incorrect|unclear)\b", re.I
)


def read_correctness(reply: str) -> Correctness | None:
    """The one verdict of the reply's last line that has one ("incorrect, not correct"); None where it has several, or
    only denies or weakens one ("not correct", "partially correct"), or quotes it from the answer. What "the correct
    answer is" is no verdict. Of a JSON object the field of the verdict is read.
    """
    field = field_of(reply, *FIELDS)
    text = own_words(reply) if field is None else field
    verdicts = list(_WORD.finditer(text))
    if verdicts and (is_introduced(text, verdicts[-1].start()) or is_quoted(text, verdicts[-1].start())):
        return None
    for line in reversed(text.splitlines()):
        if said := _said_in(line):
            return said.pop() if len(said) == 1 else None
    return None


def _said_in(line: str) -> set[Correctness | None]:
    """The verdicts in a line; None for one that is denied, weakened or in doubt."""
    text = _DENIED.sub("", line)
    said: set[Correctness | None] = set()
    for match in _WORD.finditer(text):
        verdict = cast(Correctness, match[1].lower())
        begin = max(0, match.start() - NEAR)
        clause = _CLAUSE.split(text[begin : match.start()])[-1].replace("’", "'").lower()
        before = set(_NAME.findall(clause.replace("i would ", "i'd ")))
        follows = _FOLLOWS.match(text, match.end())
        after = ((follows and follows["next"]) or "").lower()
        turned = after == "?" or (verdict != "unclear" and _TURNS.match(text, match.end()))
        if turned or not after or after in FOLLOWING or (after in DETAIL and verdict != "correct"):
            said.add(verdict if before <= LEAD and not turned else None)
        elif before & GIVES:
            said.add(verdict if before <= LEAD | GIVES else None)
    return said or ({None} if text != line else said)


def read_correctness_officially(reply: str) -> Correctness:
    """REPRODUCE (official_*): whatever holds "incorrect" is so, else whatever holds "correct", else it is unclear."""
    text = reply.lower()
    return "incorrect" if "incorrect" in text else "correct" if "correct" in text else "unclear"
