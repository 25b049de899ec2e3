"""Values as JSON can hold them, whatever a judge, a model or another harness made them of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Set
from typing import Any

DEEPEST = 50
"""Deeper levels of a value become text: something that holds itself has no end."""


def json_safe(value: Any, *, undefined: bool = True, depth: int = 0) -> Any:
    """``value`` of nothing but mappings, lists, text, finite numbers, booleans and None.

    JSON has no NaN and no infinity: they become None where ``undefined``, else the words "nan" and "inf". Arrays become
    lists, anything unknown its text.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        number = float(value)
        return number if math.isfinite(number) else None if undefined else str(number)
    if depth >= DEEPEST:
        return str(value)
    if isinstance(value, Mapping):
        return {_key(k): json_safe(v, undefined=undefined, depth=depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple | Set):
        return [json_safe(v, undefined=undefined, depth=depth + 1) for v in value]
    if callable(getattr(value, "tolist", None)):  # numpy's and torch's arrays and numbers
        return json_safe(value.tolist(), undefined=undefined, depth=depth + 1)
    return str(value)


def json_text(value: Any, **options: Any) -> str:
    """``json_safe(value)`` as JSON, written with ``options`` of json.dumps.

    What JSON holds as it is, which most values are, is not walked a second time.
    """
    try:
        return json.dumps(value, allow_nan=False, **options)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(json_safe(value), allow_nan=False, **options)


def _key(name: Any) -> str:
    """A key as json.dumps writes it, so that ``json_text`` has one spelling: None is "null", True "true"."""
    if name is None or isinstance(name, bool):
        return json.dumps(name)
    return name if isinstance(name, str) else str(name)
