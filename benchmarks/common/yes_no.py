"""Yes or no, read out of a free answer. What official scorers read stands with their benchmarks (REPRODUCE)."""

from __future__ import annotations

import re
from typing import Literal, cast

YesNo = Literal["yes", "no"]

_FIRST = re.compile(r"\W*(yes|no)\b(?!\W*(?:or|and)\W+(?:yes|no)\b|\s*[/|&]\s*(?:yes|no)\b)", re.IGNORECASE)
_THERE = re.compile(r"\W*there\s+(?:is|are)(n['’]t|\s+not|\s+no)?\b", re.IGNORECASE)


def read_yes_no(answer: str, *, sentences: bool = False) -> YesNo | None:
    """What the first word says, in any case ("Yes, there is."); None where it is neither, or one of two ("Yes or no").

    ``sentences``: also a sentence that begins with "There is", "There are" or their negations.
    """
    if first := _FIRST.match(answer):
        return cast(YesNo, first[1].lower())
    if sentences and (there := _THERE.match(answer)):
        return "no" if there[1] else "yes"
    return None
