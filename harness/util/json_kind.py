"""What a value read from JSON is, in words that people know from the file."""

from __future__ import annotations

from typing import Any

_WORDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


def kind_of(value: Any) -> str:
    """ "null", "a list", "an object"...: not Python's names of types."""
    return "null" if value is None else _WORDS.get(type(value), f"a {type(value).__name__}")
