"""The settings of a dataclass with what its docstring says of them: for docs/settings.md and the help of commands."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from harness.util.ranges import range_of

SECTION = re.compile(r"^(Args|Settings):\n((?: {4}.*\n|\n)*)", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): ((?:.*\n)(?: {8}.*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Setting:
    """One setting: its name ("decoding.num_beams" inside a part), what it may be, its default, and what it means.

    ``default`` is None for one that must be given.
    """

    name: str
    allowed: str
    default: str | None
    meaning: str


def documented(kind: type[Any]) -> list[Setting]:
    """The settings of the dataclass ``kind`` in its order; one that is a dataclass itself gives all that are in it.

    The meaning is what stands under "Args:" or "Settings:" in the docstring of the class or of one it extends; "" for
    a setting that is not there.
    """
    meanings = {name: text for base in reversed(kind.__mro__) for name, text in _entries(base)}
    hints = typing.get_type_hints(kind, include_extras=True)
    rows = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        if dataclasses.is_dataclass(field.default) and not isinstance(field.default, type):
            rows += [
                dataclasses.replace(
                    inner, name=f"{field.name}.{inner.name}", default=written(getattr(field.default, inner.name))
                )
                for inner in documented(type(field.default))
            ]
        else:
            rows.append(Setting(field.name, allowed(hints[field.name]), _default(field), meanings.get(field.name, "")))
    return rows


def _entries(kind: type[Any]) -> Iterator[tuple[str, str]]:
    """(name, meaning) of what the docstring of ``kind`` itself explains; names joined by commas share a meaning."""
    for _, body in SECTION.findall(inspect.cleandoc(vars(kind).get("__doc__") or "") + "\n"):
        for names, text in ENTRY.findall(body):
            for name in names.split(", "):
                yield name, " ".join(text.split())


def allowed(hint: Any) -> str:
    """What a setting may be: its choices, or its kind with range and unit, "a whole number of at least 1 (pairs)"."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(map(written, args))
    if origin in (typing.Union, types.UnionType):
        inner = [each for each in args if each is not type(None)]
        return " or ".join([*map(allowed, inner), *(["null"] if type(None) in args else [])])
    if origin is Annotated:
        limits = range_of(hint)
        unit = f" ({limits.unit})" if limits and limits.unit else ""
        return f"{allowed(args[0])}{f' {limits}' if limits and str(limits) else ''}{unit}"
    if origin is tuple:
        return f"several of: {allowed(args[0])}"
    kinds = {bool: "true, false", int: "a whole number", float: "a number", str: "text", dict: "a mapping"}
    return "a mapping" if dataclasses.is_dataclass(hint) else kinds.get(origin or hint, "text")


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        return written(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return written(field.default_factory())
    return None


def written(value: Any) -> str:
    """A value as `--set` takes it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return f"{value:g}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"{{{', '.join(f'{name}: {written(held)}' for name, held in given.items() if held not in (None, ''))}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(written, value))}]"
    return '""' if value == "" else str(value)
