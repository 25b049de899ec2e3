"""Every setting that there is: a value of the wrong kind, out of range or not finite is refused by its name."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from aligners.objective import ALIGNERS
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.training.config import AlignConfig
from harness.chat.prices import Price
from harness.chat.settings import ChatSettings, ServedSettings
from harness.errors import UsageError
from harness.evaluation.spoken import ScoringSettings
from harness.models.settings import HfSettings, LoadSettings, PromptSettings
from harness.protocols.benchmark import BENCHMARKS, Decoding
from harness.util.options import build, describe
from harness.util.ranges import range_of
from tinyworld.build import WorldConfig
from workflows.ablation import Ablation, Method, Panel
from workflows.align import RunSettings
from workflows.suites import Member

GIVEN: dict[str, Any] = {
    "model": "m", "data": "d", "methods": [{"method": "dpo"}], "method": "dpo", "benchmark": "pope", "input": 1.0,
    "output": 1.0,
}  # fmt: skip
"""What must be given for the rest to be looked at."""
PARTS = (
    AlignConfig, HardnessConfig, PromptSettings, LoadSettings, HfSettings, ChatSettings, ServedSettings, Decoding,
    ScoringSettings, Ablation, Method, Panel, RunSettings, WorldConfig, Member, Price,
)  # fmt: skip
KINDS: dict[str, type[Any]] = {
    **{kind.__name__: kind for kind in PARTS},
    **{name: ALIGNERS.get(name) for name in ALIGNERS.listed()},
    **{name: BENCHMARKS.get(name) for name in BENCHMARKS.listed()},
}
HUGE = 10**400


def wrong_values(hint: Any) -> Iterator[Any]:
    """Values that a setting of the type ``hint`` cannot have, whatever its range is."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        yield from wrong_values(args[0])
        allowed = range_of(hint)
        assert allowed is not None
        if allowed.low is not None:
            yield from (allowed.low - 1, *([allowed.low] if allowed.open_low else []))
        if allowed.high is not None:
            yield from (allowed.high + 1, *([allowed.high] if allowed.open_high else []))
    elif origin in (typing.Union, types.UnionType):
        yield from wrong_values(next(arg for arg in args if arg is not type(None)))
    elif origin is tuple:
        yield from ([value] for value in wrong_values(args[0]) if not isinstance(value, list))
    elif origin is typing.Literal:
        yield from ("no such choice", 3.5, ["x"], {"x": 1}, "")
    elif hint is bool:
        yield from ("yes", 1, 0, 0.0, [True], math.nan, {"x": 1})
    elif hint in (int, float):
        yield from ("", "many", True, False, [1], {"x": 1}, math.nan, math.inf, -math.inf, HUGE, -HUGE)
        yield from (0.5,) if hint is int else ()
    elif hint is str:
        yield from (True, ["x"], {"x": 1}, "a\0b", "a\ud800")
    elif hint in (dict, dict | None):
        yield from ("x", 1, ["x"], True)
    elif dataclasses.is_dataclass(hint):
        yield from ("x", 1, True, {"no such setting": 1})


def settings() -> list[Any]:
    """Every (dataclass, setting) of the harness."""
    made = []
    for name, kind in KINDS.items():
        hints = typing.get_type_hints(kind, include_extras=True)
        made += [
            pytest.param(kind, field.name, hints[field.name], id=f"{name}-{field.name}")
            for field in dataclasses.fields(kind)
            if field.init
        ]
    return made


@pytest.mark.parametrize(("kind", "name", "hint"), settings())
def test_a_value_that_a_setting_cannot_have_is_refused_by_its_name(kind: type[Any], name: str, hint: Any) -> None:
    needed = {each: GIVEN[each] for each in (f.name for f in dataclasses.fields(kind)) if each in GIVEN}
    tried = list(wrong_values(hint))
    assert tried, f"nothing is known that {hint} cannot be"
    taken = []
    for value in tried:
        try:
            build(kind, {**needed, name: value}, "these settings")
            taken.append(value)
        except UsageError as error:
            assert name in str(error)
    assert not taken


@pytest.mark.parametrize("kind", [AlignConfig, HardnessConfig, Decoding, HfSettings, ChatSettings])
def test_the_defaults_are_what_a_setting_may_be(kind: type[Any]) -> None:
    needed = {each: GIVEN[each] for each in (f.name for f in dataclasses.fields(kind)) if each in GIVEN}
    assert build(kind, {**describe(kind), **needed}, "these settings") == build(kind, needed, "these settings")
