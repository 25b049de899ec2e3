"""A row of preference data as it stands in a file, and what is said of one that cannot be used."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError

Row = Mapping[str, Any]

LITERAL = ("[", "{", "(", "b'", 'b"')
"""What lists, dictionaries, tuples and bytes begin with as Python writes them."""
UNSEEN = frozenset(["Cc", "Cf"])
"""Unicode's categories of control and format characters: a text of them alone is empty."""
LONGEST_LITERAL = 10_000
OR_LEFT_OUT = "Or leave such rows out with --set skip_bad_rows=true."
BLANK = ("", "[]", "{}", "null")
"""Texts of columns that hold nothing."""


@dataclass(frozen=True)
class Place:
    """Where a row stands: ``name`` for messages, ``folder`` for the paths of its images, its number for an id."""

    name: str
    folder: Path
    number: str

    def __str__(self) -> str:
        return self.name


class BadRow(DataError):
    """A row that cannot be trained on.

    Args:
        reason: without what is the row's own, so that rows are counted by it; ``detail`` is that.
        files: whose state it depends on; None where it may be another the next time (a download).
    """

    def __init__(self, place: Place, reason: str, detail: str = "", files: tuple[Path, ...] | None = ()) -> None:
        super().__init__(f"{place}: {reason}{detail}")
        self.reason, self.files = reason, files

    def refused(self) -> BadRow:
        """Itself, with how the rest of the file can be used, for where such rows are not left out."""
        self.args = (f"{self} {OR_LEFT_OUT}",)
        return self


class NoPreference(BadRow):
    """A row that prefers nothing by the rules of its own layout (equal ratings): always left out and counted."""


def text_of(value: Any, name: str, place: Place) -> str:
    """``value`` without blanks around it, if it is a text that says something; else BadRow."""
    if value is None:
        raise BadRow(place, f"no {name}.")
    if not isinstance(value, str):
        what = "NaN" if isinstance(value, float) and math.isnan(value) else f"a {type(value).__name__}"
        raise BadRow(place, f"{name}: expected a text, found {what}", f" ({value!r:.80}).")
    if not says_something(value):
        raise BadRow(place, f"{name} is empty.")
    if found := _written_by_python(value.strip()):
        raise BadRow(place, f"{name}: expected a text, found {found}", f" ({value!r:.80}).")
    return well_formed(value.strip(), name, place)


def says_something(text: str) -> bool:
    """Whether anything of ``text`` is seen: neither blanks nor control and format characters (U+200B) are."""
    return any(not character.isspace() and unicodedata.category(character) not in UNSEEN for character in text)


def visible(text: str) -> str:
    """What a reader sees of ``text``: its characters composed, without those that format it."""
    composed = unicodedata.normalize("NFC", text)
    return composed if composed.isascii() else "".join(c for c in composed if unicodedata.category(c) != "Cf")


def well_formed(text: str, name: str, place: Place) -> str:
    """``text`` with line ends as they are everywhere but on Windows, if it consists of characters.

    Raises BadRow for NUL and for halves of characters beyond 16 bits.
    """
    if "\0" in text:
        raise BadRow(place, f"{name} holds a NUL: it is no text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f" ({text[error.start]!r} at character {error.start})."
        raise BadRow(place, f"{name} holds half a character (a lone surrogate)", half) from error
    return text.replace("\r\n", "\n")


def _written_by_python(text: str) -> str:
    """What a text of a table is that another program made of NaN or of a list, in words; "" for any other.

    JSON is a text: answers may be boxes or extracted fields.
    """
    if text in ("nan", "NaN", "<NA>"):
        return "NaN"
    if not text.startswith(LITERAL) or len(text) > LONGEST_LITERAL:
        return ""
    try:
        json.loads(text)
    except ValueError:
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = ast.literal_eval(text)
            return "" if isinstance(value, str | int | float) else f"a {type(value).__name__} as Python writes it"
    except RecursionError:
        pass
    return ""


def given(row: Row, name: str) -> Any:
    """The value of a column that need not be there; None where it is absent, blank, NaN or holds nothing."""
    value = row.get(name)
    if isinstance(value, str):
        return None if value.strip() in BLANK else value
    empty = isinstance(value, list | tuple | Mapping) and not value
    return None if empty or (isinstance(value, float) and math.isnan(value)) else value


def id_of(value: Any, place: Place) -> str:
    """An id as the data has it, "" for none. Raises BadRow for what is neither a number nor a text."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return well_formed(value, "idx", place)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(place, f"idx: expected a number or a text, found a {type(value).__name__}", f" ({value!r:.80}).")
    return str(value)
