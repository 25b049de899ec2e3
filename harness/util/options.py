"""One way to say a thing: a frozen dataclass is the config file, the `--set` flags, the stored record and the hash."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import UsageError, unknown_name
from harness.util.documented import allowed
from harness.util.other_names import in_our_words
from harness.util.ranges import fault_of_number, type_hints
from harness.util.secrets import keep_shown
from harness.util.yaml_text import WrittenFloat, parse_yaml

T = TypeVar("T")

EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+")
"""Numbers that YAML 1.1 reads as strings: 5e-7 in a recipe."""


def content_key(*parts: Any) -> str:
    """A short sha256 over the canonical JSON of ``parts``: the key of whatever they determine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_jsonable)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def added(default: T) -> T:
    """The default of a setting that was added after keys had been stored: at it the setting is in no key (``keyed``).

    It stands where a dataclass has its default: ``variant: str = added("paper")``. Such a default can never change.
    """
    # A dataclass takes the field for the default; to the reader and the type checker it is the default.
    return dataclasses.field(default=default, metadata={"added": True})  # type: ignore[return-value]


def unkeyed(default: T) -> T:
    """The default of a setting that changes no result, and is in no key: ``report_to: str = unkeyed("none")``."""
    return dataclasses.field(default=default, metadata={"unkeyed": True})  # type: ignore[return-value]


def keyed(settings: Any) -> dict[str, Any]:
    """What a key is made of: the settings of a dataclass without those that change no result (``unkeyed``), and without
    those that were ``added`` and stand at their default: what was stored before there was such a setting keeps its key.
    """
    values = dataclasses.asdict(settings)
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.metadata.get("unkeyed") or (field.metadata.get("added") and value == field.default):
            del values[field.name]
        elif dataclasses.is_dataclass(value):
            values[field.name] = keyed(value)
    return values


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return keyed(value)
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return str(value)


def parse_assignments(pairs: Iterable[str]) -> dict[str, Any]:
    """``["beta=0.2", "decoding.num_beams=1"]`` -> {"beta": 0.2, "decoding": {"num_beams": 1}}; values are YAML."""
    out: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"--set {pair!r}: expected key=value, for example --set beta=0.1.")
        out = overlay(out, nested({name.strip(): _parse_value(value, f"--set {pair!r:.200}")}))
    return out


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``{"beta": 0.2, "decoding.num_beams": 1}`` -> {"beta": 0.2, "decoding": {"num_beams": 1}}."""
    out: dict[str, Any] = {}
    for name, value in settings.items():
        first, *inner = name.split(".")
        out = overlay(out, {first: functools.reduce(lambda held, part: {part: held}, reversed(inner), value)})
    return out


def overlay(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """One dictionary of all ``layers``: later ones win, mappings are merged name by name."""
    out: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            merged = isinstance(value, Mapping) and isinstance(out.get(name), Mapping)
            out[name] = overlay(out[name], value) if merged else value
    return out


def _parse_value(text: str, where: str) -> Any:
    if not text.strip():
        return ""  # model.system= is no system message; null is written as such
    value = parse_yaml(text, where)
    if isinstance(value, str) and EXPONENT.fullmatch(value) and not text.lstrip().startswith(("'", '"')):
        number = WrittenFloat(value)  # YAML 1.1 reads 5e-7 as a string
        number.written = value
        return number
    return value


def read_yaml(path: Path, what: str = "recipe") -> dict[str, Any]:
    """A YAML file as a dictionary; anything else raises a UsageError naming the file and ``what`` it should be."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        keep_shown(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read {what} {path}: {error}") from error
    loaded = parse_yaml(text, f"{what} {path}")
    if not isinstance(loaded, dict):
        raise UsageError(f"{path}: expected a {what} of `key: value` lines, found {type(loaded).__name__}.")
    return loaded


def build(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """``kind(**values)`` with every name, type and range (``harness.util.ranges``) checked against the dataclass.

    ``what`` names the thing in messages ("aligner dama"). An unknown key raises a UsageError with a suggestion. Of a
    field that is a dataclass itself a mapping changes the names it holds and leaves the others at the field's default.
    """
    known = {field.name: field for field in dataclasses.fields(kind) if field.init}  # type: ignore[arg-type]
    hints = type_hints(kind)  # type: ignore[arg-type]  # every class can be hashed
    for name in values:
        if name not in known:
            if hint := in_our_words(name, known):
                raise UsageError(f"Unknown setting of {what} {name!r}. {hint}")
            raise unknown_name(f"setting of {what}", name, known)
    for name, value in values.items():
        default = known[name].default
        if isinstance(value, Mapping) and dataclasses.is_dataclass(default) and not isinstance(default, type):
            given = {field.name for field in dataclasses.fields(default) if field.init}
            held = {inner: item for inner, item in dataclasses.asdict(default).items() if inner in given}
            values = {**values, name: overlay(held, value)}
    arguments = {name: _coerce(value, hints[name], f"{what}: {name}") for name, value in values.items()}
    missing = [name for name, field in known.items() if name not in values and _is_required(field)]
    if missing:
        raise UsageError(f"{what}: {', '.join(missing)}: expected a value, none is given.")
    try:
        return kind(**arguments)
    except ValueError as error:  # a dataclass need not know what it is called in messages
        raise UsageError(f"{what}: {error}.") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _coerce(value: Any, hint: Any, where: str) -> Any:
    """``value`` as the type ``hint`` has it; a wrong type or a number out of range raises UsageError."""
    coerced = _of_type(value, hint, where)
    if expected := fault_of_number(coerced, hint):
        raise UsageError(f"{where}={value}: expected {expected}.")
    return coerced


def _of_type(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _of_type(value, args[0], where)
    if origin is typing.Literal:
        return _choice(value, args, where)
    if origin in (typing.Union, types.UnionType):
        return _of_union(value, args, where)
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_coerce(item, args[0], where) for item in items)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value, where)
    if hint is float and _is_number(value):
        return _float(value)
    if hint is float and isinstance(value, str) and EXPONENT.fullmatch(value):
        return float(value)
    if hint is int and _is_number(value) and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if hint is str and _is_number(value):
        return getattr(value, "written", None) or str(value)
    if hint is str and isinstance(value, str) and (fault := unstorable(value)):
        raise UsageError(f"{where}: {fault}.")
    if isinstance(hint, type) and not (isinstance(value, hint) and (hint is bool) == isinstance(value, bool)):
        raise UsageError(f"{where}={value!r}: expected {_expected(hint)}.")
    return value


def _expected(hint: type[Any]) -> str:
    """What a setting of the type ``hint`` may be, in a user's words."""
    if dataclasses.is_dataclass(hint):
        return f"a mapping of {', '.join(field.name for field in dataclasses.fields(hint) if field.init)}"
    return allowed(hint).replace(", ", " or ")


def _of_union(value: Any, args: tuple[Any, ...], where: str) -> Any:
    """``value`` as the first of the types that is not None, unless it is None or one of the words that are allowed."""
    words = [word for arg in args if typing.get_origin(arg) is typing.Literal for word in typing.get_args(arg)]
    if (value is None and type(None) in args) or (isinstance(value, str) and value in words):
        return value
    if words and isinstance(value, str) and not EXPONENT.fullmatch(value):
        raise UsageError(f"{where}={value!r}: expected a number or {' or '.join(words)}.")
    return _coerce(value, next(arg for arg in args if arg is not type(None)), where)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number of more than 308 digits
        return math.inf if value > 0 else -math.inf


def unstorable(value: str) -> str:
    """What no setting may hold, since no file's name and no column of the store can; "" if nothing."""
    if "\0" in value:
        return "it holds a NUL character"
    return "" if value.isascii() or value.encode("utf-8", "ignore").decode() == value else "it is no valid Unicode"


def _choice(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if isinstance(value, bool):  # YAML reads the words on, off, yes and no so
        words = ("on", "yes", "true") if value else ("off", "no", "false", "none")
        value = next((word for word in words if word in choices), value)
    if value not in choices:
        raise UsageError(f"{where}={value!r}: choose one of {', '.join(map(str, choices))}.")
    return value


def describe(kind: type[Any]) -> dict[str, Any]:
    """The settings of a dataclass and their defaults, for `list` and the docs."""
    return {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.init and field.default is not dataclasses.MISSING
    }
