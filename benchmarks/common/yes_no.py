"""Yes or no, read out of a free answer. What official scorers read stands with their benchmarks (REPRODUCE)."""

from __future__ import annotations

import re
from typing import Literal, cast

YesNo = Literal["yes", "no"]

_FIRST = re.compile(r"\W*(yes|no)\b(?!\W*(?:or|and)\W+(?:yes|no)\b|\s*[/|&]\s*(?:yes|no)\b)", re.IGNORECASE)
_THERE = re.compile(r"\W*there\s+(?:is|are)(n['’]t|\s+not|\s+no)?\b", re.IGNORECASE)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""Control characters that set no lines and columns: what holds them is the output of something that went wrong."""


def read_yes_no(answer: str, *, sentences: bool = False) -> YesNo | None:
    """What the first word says, in any case ("Yes, there is."); None where it is neither, or one of two ("Yes or no"),
    or the answer holds control characters.

    ``sentences``: also a sentence that begins with "There is", "There are" or their negations.
    """
    if _NO_TEXT.search(answer):
        return None
    if first := _FIRST.match(answer):
        return cast(YesNo, first[1].lower())
    if sentences and (there := _THERE.match(answer)):
        return "no" if there[1] else "yes"
    return None
