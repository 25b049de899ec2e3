"""What a judge says of an answer beside a reference: correct, incorrect or unclear (HallusionBench)."""

from __future__ import annotations

import re
from typing import Literal, cast

from benchmarks.common.replies import field_of, is_introduced, is_quoted, own_words

Correctness = Literal["correct", "incorrect", "unclear"]

FIELDS = ("verdict", "judgement", "judgment", "correctness", "result", "label")
_WORD = re.compile(r"\b(correct|incorrect|unclear)\b", re.IGNORECASE)
_DENIED = re.compile(
    r"(?:\b(?:not|neither|nor|never|cannot)|n['’]t)\b(?:\W+\w+){0,2}?\W+(?:correct|incorrect|unclear)\b", re.I
)


def read_correctness(reply: str) -> Correctness | None:
    """The one verdict of the reply's last line that has one ("incorrect, not correct"); None where it has several, or
    only denies one ("not correct"), or quotes it from the answer. Of a JSON object the field of the verdict is read.
    """
    field = field_of(reply, *FIELDS)
    text = own_words(reply) if field is None else field
    verdicts = list(_WORD.finditer(text))
    if verdicts and (is_introduced(text, verdicts[-1].start()) or is_quoted(text, verdicts[-1].start())):
        return None
    for line in reversed(text.splitlines()):
        if _WORD.search(line):
            found = {word.lower() for word in _WORD.findall(_DENIED.sub("", line))}
            return cast(Correctness, found.pop()) if len(found) == 1 else None
    return None


def read_correctness_officially(reply: str) -> Correctness:
    """REPRODUCE (official_*): whatever holds "incorrect" is so, else whatever holds "correct", else it is unclear."""
    text = reply.lower()
    return "incorrect" if "incorrect" in text else "correct" if "correct" in text else "unclear"
