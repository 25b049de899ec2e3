"""Texts of others (a model, a judge, a file, a name in a results file) as a terminal, a log or a table can show them.

A terminal obeys some characters instead of showing them: an escape sequence clears it, sets its title or hides what
follows; a carriage return overwrites a line; a bidirectional override shows a text in another order than it has.
"""

from __future__ import annotations

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control characters but tab and line feed, what has no width or changes the direction of writing, half surrogates."""


def stripped(text: str) -> str:
    """``text`` without what cannot be seen: as wide as a terminal takes it for."""
    return UNSEEN.sub("", text.replace("\r\n", "\n"))


def escaped(text: str) -> str:
    r"""``text`` with what cannot be seen written out: ``\x1b``, ``\u202e``."""
    return UNSEEN.sub(lambda found: repr(found.group())[1:-1], text.replace("\r\n", "\n"))


def on_one_line(text: str) -> str:
    """``text`` in one line of what can be seen: a cell, a name, a title."""
    return stripped(" ".join(text.split("\n")).replace("\t", " "))
