"""What stands around a judge's verdict: a code fence around all of it, one JSON object, quotations."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

NEAR = 200
"""Characters before a verdict in which its line and the one before it are looked for."""
_FENCED = re.compile(r"\s*```(?:\w*\n)?(?P<inside>[^`]*)```\s*")
_BOXED = re.compile(r"\\boxed\{([^{}\n]*)\}")
_QUOTED_LINE = re.compile(r"^[ \t]*>[^\n]*$", re.MULTILINE)
_QUOTING = re.compile(
    r"\b(?:lines?|words?|text|sentence|phrase|string|instruction|sa(?:y|ys|id|ying)|writ(?:e|es|ten|ing)|wrote|reads?"
    r"|claim(?:s|ed|ing)?|contain(?:s|ed|ing)?|stat(?:es|ed|ing)|includ(?:es|ed|ing)|quot(?:e|es|ed|ing)|with)"
    r"[\s:,\"'“‘*_`—-]*$",
    re.IGNORECASE,
)
"""How a line ends whose next one is somebody else's: "The answer contained the line"."""


def unfenced(reply: str) -> str:
    """What stands in the code fence that is around all of ``reply``; the reply itself where there is none."""
    match = _FENCED.fullmatch(reply)
    return match["inside"] if match else reply


def own_words(reply: str) -> str:
    """``reply`` without a fence around it, LaTeX's box, and the lines that it quotes ("> Rating: 6")."""
    return _BOXED.sub(r"\1", _QUOTED_LINE.sub("", unfenced(reply))).strip()


def is_introduced(text: str, start: int) -> bool:
    """Whether the line of ``start`` is quoted by the line before it: "The answer ends with the line"."""
    begin = text.rfind("\n", max(0, start - NEAR), start) + 1
    return _QUOTING.search(text[max(0, begin - NEAR) : begin].rstrip()[-60:]) is not None


def is_quoted(text: str, start: int) -> bool:
    """Whether what begins at ``start`` stands in quotation marks behind a word of quoting (``says "correct"``)."""
    begin = max(0, start - NEAR)
    before = text[max(begin, text.rfind("\n", begin, start) + 1) : start].rstrip()
    return before[-1:] in ('"', "'", "“", "‘", "`") and _QUOTING.search(before[-60:]) is not None


def fields_of(reply: str) -> dict[str, Any] | None:
    """The fields of a reply that is one JSON object, by their names in lower case; None for another reply.

    One that gives a name twice has no fields: neither of its values is the one.
    """
    text = unfenced(reply).strip()
    if not text.startswith("{"):
        return None
    try:
        fields = json.loads(text, object_pairs_hook=_once, parse_float=_exact)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = {name.strip().lower(): value for name, value in pairs}
    return fields if len(fields) == len(pairs) else {}


def _exact(digits: str) -> float | str:
    """The number, or its text where a float is another one: 4.99999999999999999 is no 5."""
    number = float(digits)
    try:
        return number if Decimal(digits) == Decimal(repr(number)) else digits
    except ArithmeticError:
        return digits


def field_of(reply: str, *names: str) -> str | None:
    """The one number or text among the fields ``names`` of a reply that is a JSON object, as text.

    None for another reply; "" where none or several of the fields are there, or something else than a number or text.
    """
    fields = fields_of(reply)
    if fields is None:
        return None
    values = [fields[name] for name in names if name in fields]
    plain = len(values) == 1 and isinstance(values[0], int | float | str) and not isinstance(values[0], bool)
    return str(values[0]).strip() if plain else ""
