"""What a number may be: declared in the type of a setting, checked where settings are built, shown on their page.

``warmup: Annotated[float, share("of the steps")] = 0.1``
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from typing import Annotated, Any

from harness.errors import UsageError

LARGEST = 2**63 - 1
"""Larger whole numbers fit into no column of the store."""


@functools.cache
def type_hints(kind: type[Any]) -> Mapping[str, Any]:
    """The types of the fields of ``kind``, with what annotates them."""
    return typing.get_type_hints(kind, include_extras=True)


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, None for no bound; ``open_low`` and ``open_high`` leave the bound itself out.

    ``unit`` says what is counted or measured, "pairs" or "seconds".
    """

    low: float | None = None
    high: float | None = None
    unit: str = ""
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        above = self.low is None or value > self.low or (value == self.low and not self.open_low)
        below = self.high is None or value < self.high or (value == self.high and not self.open_high)
        return above and below

    def __str__(self) -> str:
        """As it is written after "a number": "above 0 and at most 1", "from 0 to 1"."""
        if self.low is not None and self.high is not None and not (self.open_low or self.open_high):
            return f"from {_plain_number(self.low)} to {_plain_number(self.high)}"
        low = "" if self.low is None else f"{'above' if self.open_low else 'of at least'} {_plain_number(self.low)}"
        high = "" if self.high is None else f"{'below' if self.open_high else 'at most'} {_plain_number(self.high)}"
        return " and ".join(filter(None, (low, high)))


def _plain_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:g}"


def at_least(low: float, unit: str = "") -> Range:
    """``low`` or more."""
    return Range(low, unit=unit)


def above(low: float, unit: str = "") -> Range:
    """More than ``low``."""
    return Range(low, unit=unit, open_low=True)


def share(unit: str = "") -> Range:
    """From 0 to 1, both included."""
    return Range(0, 1, unit)


def range_of(hint: Any) -> Range | None:
    """The range that the type of a setting declares, if it does; of a type that may be None as well."""
    if typing.get_origin(hint) is Annotated:
        return next((item for item in hint.__metadata__ if isinstance(item, Range)), None)
    return next((found for inner in typing.get_args(hint) if (found := range_of(inner))), None)


def fault_of_number(value: Any, hint: Any) -> str:
    """What is expected of a number that its type does not allow: "a whole number of at least 1"; "" if it is allowed.

    A number that is not finite never is.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    allowed = range_of(hint) or Range()
    if isinstance(value, int) and abs(value) > LARGEST:
        return f"a whole number up to {LARGEST:,}"
    if value in allowed:
        return ""
    kind = "whole number" if int in _plain(hint) else "number" if str(allowed) else "finite number"
    unit = f" ({allowed.unit})" if allowed.unit else ""
    return " ".join(filter(None, (f"a {kind}", str(allowed)))) + unit


def _plain(hint: Any) -> set[Any]:
    """The types in ``hint``, without what annotates them."""
    inner = [hint.__origin__] if typing.get_origin(hint) is Annotated else typing.get_args(hint)
    return set().union(*map(_plain, inner)) if inner else {hint}


def require_ranges(settings: Any, what: str) -> None:
    """Raise UsageError for the first number of the dataclass ``settings`` that its type does not allow.

    For dataclasses that are also made without ``options.build``, which checks the same. ``what`` begins the message.
    """
    hints = type_hints(type(settings))  # type: ignore[arg-type]  # every class can be hashed
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if expected := fault_of_number(value, hints[field.name]):
            raise UsageError(f"{what}: {field.name}={value}: expected {expected}.")
