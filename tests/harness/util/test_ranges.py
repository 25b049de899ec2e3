"""Numbers out of range are refused where settings are built, with what is expected in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from harness.errors import UsageError
from harness.util.options import build
from harness.util.ranges import Range, above, at_least, range_of, require_ranges, share


@dataclass(frozen=True, kw_only=True)
class Settings:
    rate: Annotated[float, above(0)] = 1.0
    warmup: Annotated[float, share("of the steps")] = 0.1
    steps: Annotated[int, at_least(1, "steps")] | None = None
    keep: Annotated[float, Range(0, 1, open_low=True)] = 0.8
    momentum: Annotated[float, Range(0, 1, open_high=True)] = 0.9
    biases: tuple[float, ...] = ()
    any_number: float = 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 0}, r"^these: rate=0(\.0)?: expected a number above 0\.$"),
        ({"rate": -1e-6}, r"rate=-1e-06: expected a number above 0\.$"),
        ({"warmup": 1.5}, r"warmup=1\.5: expected a number from 0 to 1 \(of the steps\)\.$"),
        ({"steps": 0}, r"steps=0: expected a whole number of at least 1 \(steps\)\.$"),
        ({"keep": 0}, r"expected a number above 0 and at most 1\.$"),
        ({"momentum": 1}, r"expected a number of at least 0 and below 1\.$"),
        ({"any_number": float("nan")}, r"any_number=nan: expected a finite number\.$"),
        ({"any_number": float("inf")}, r"any_number=inf: expected a finite number\.$"),
        ({"rate": float("nan")}, r"rate=nan: expected a number above 0\.$"),
        ({"biases": [0.5, float("nan")]}, r"biases=nan: expected a finite number\.$"),
    ],
)
def test_a_number_out_of_range_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(Settings, values, "these")
    if "biases" not in values:
        with pytest.raises(UsageError, match=message):
            require_ranges(Settings(**values), "these")


def test_the_bounds_themselves_are_allowed_where_they_are_not_left_out() -> None:
    values = {"warmup": 1, "steps": 1, "keep": 1, "momentum": 0, "any_number": -1e9, "biases": [-1, 1]}
    assert build(Settings, values, "these").warmup == 1.0
    assert build(Settings, {"steps": None}, "these").steps is None


def test_the_range_of_a_type_is_found_in_what_may_be_none() -> None:
    assert range_of(Annotated[int, at_least(1, "pairs")] | None) == Range(1, unit="pairs")
    assert range_of(float | None) is None
