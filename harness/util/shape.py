"""The shape that a plug-in's class must have: what it extends, what it declares, and of which types."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence, Set
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

Check = Callable[[object], Sequence[str]]
"""What is wrong with the shape of an item, one line a fault; an item without a fault gives none."""


def extends(base: type, *names: str, taken: Sequence[str] = ()) -> Check:
    """A shape check: a class that extends ``base``, implements all that is abstract there and has ``names``; what
    ``base`` declares as a ClassVar has its type; no setting has one of the ``taken`` names.
    """

    def faults(item: object) -> list[str]:
        if not inspect.isclass(item):
            return [f"expected a class that extends {base.__module__}.{base.__name__}, got {item!r}"]
        if not issubclass(item, base):
            return [f"the class {item.__name__} does not extend {base.__module__}.{base.__name__}"]
        missing = sorted(getattr(item, "__abstractmethods__", ()))
        missing += [name for name in names if name not in missing and not hasattr(item, name)]
        if missing:
            return [f"it has no {name!r}" for name in missing]
        return [*_faults_of_settings(item, taken), *_faults_of_declared(item, base)]

    return faults


def _faults_of_settings(item: type, taken: Sequence[str]) -> list[str]:
    """Settings of a dataclass whose names are ``taken``."""
    names = [field.name for field in dataclasses.fields(item)] if dataclasses.is_dataclass(item) else []
    return [
        f"its setting {name!r} cannot be set, since `--set {name}.NAME=VALUE` is for another part: rename it"
        for name in names
        if name in taken
    ]


def _faults_of_declared(item: type, base: type) -> list[str]:
    """What ``base`` declares for the class and ``item`` gives in another type: a headline that is a string."""
    hints = {name: hint for name, hint in get_type_hints(base).items() if get_origin(hint) is ClassVar}
    faults = []
    for name, hint in hints.items():
        value = getattr(item, name, None)
        if not isinstance(value, property) and not _is_of(value, get_args(hint)[0]):
            faults.append(f"its {name!r} is {value!r}, expected {_written(get_args(hint)[0])}")
    return faults


def _is_of(value: object, hint: Any) -> bool:
    """Whether ``value`` is of the type that ``hint`` says; a list will do for a tuple of any length."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_is_of(value, each) for each in args)
    if origin is type:
        return inspect.isclass(value)
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, tuple) and len(value) == len(args) and all(map(_is_of, value, args))
    if origin in (tuple, Sequence):
        return isinstance(value, list | tuple) and all(_is_of(each, args[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_is_of(k, args[0]) and _is_of(v, args[1]) for k, v in value.items())
    if origin is frozenset:
        return isinstance(value, Set) and all(_is_of(each, args[0]) for each in value)
    return value in args if origin is Literal else isinstance(value, origin or hint)


def _written(hint: Any) -> str:
    """A type as it is written in code, without its modules."""
    return re.sub(r"\b(\w+\.)+", "", hint.__name__ if inspect.isclass(hint) and not get_args(hint) else str(hint))
