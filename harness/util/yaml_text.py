"""YAML as settings are written in it: plain values by name, each name once, and nothing that grows when it is read."""

from __future__ import annotations

import re
from typing import Any

import yaml

from harness.errors import UsageError

LONGEST = 1_000_000
"""Characters; recipes, suites and price lists have a few thousand."""
MOST_VALUES = 100_000
"""Values that a text may stand for: an alias of aliases of aliases stands for millions."""
DEEPEST = 50
PLAIN = (dict, list, str, int, float, bool, type(None))
OTHER_NUMBER = re.compile(r"[-+]?0[\d_]+|.*:.*", re.DOTALL)
"""What YAML 1.1 takes for octal numbers and for minutes and seconds: 010 and 12:30."""


class WrittenInt(int):
    """A whole number that knows how it was written: of a revision or a name 1_000 the text counts."""

    written: str


class WrittenFloat(float):
    """Such a number with a fraction: the revision 1.10 is not 1.1."""

    written: str


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(str(key.value))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MOST_VALUES:
            raise yaml.constructor.ConstructorError(None, None, "it merges too much", node.start_mark)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:
        if OTHER_NUMBER.fullmatch(node.value):
            return str(node.value)
        number = WrittenInt(super().construct_yaml_int(node))
        number.written = node.value
        return number

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | str:
        if ":" in node.value:
            return str(node.value)
        number = WrittenFloat(super().construct_yaml_float(node))
        number.written = node.value
        return number

    def construct_yaml_timestamp(self, node: yaml.ScalarNode) -> str:
        return str(node.value)


for _tag in ("int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", getattr(_Loader, f"construct_yaml_{_tag}"))


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text: mappings of text names, lists, texts, numbers, booleans and None.

    Raises UsageError, which begins with ``where``: no YAML, a name given twice or no text, a tag of another type, more
    values, depth or characters than settings have.
    """
    if len(text) > LONGEST:
        raise UsageError(f"{where}: {len(text):,} characters; settings have at most {LONGEST:,}.")
    try:
        value = yaml.load(text, _Loader)  # a SafeLoader
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{where}: not valid YAML: {' '.join(str(error).split())}.") from error
    if fault := _fault(value):
        raise UsageError(f"{where}: {fault}.")
    return value


def _fault(value: Any) -> str:
    """What settings cannot hold of ``value``; "" if nothing."""
    left, count = [(value, 0)], 0
    while left:
        held, depth = left.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            return f"it holds more than {MOST_VALUES:,} values or {DEEPEST} levels; aliases (*name) may stand for many"
        if not isinstance(held, PLAIN):
            return f"it holds a {type(held).__name__}; expected texts, numbers, lists and mappings"
        if isinstance(held, dict):
            for name in held:
                if not isinstance(name, str):
                    return f"YAML reads the name {name} as a {type(name).__name__}; put it in quotes"
            left += [(each, depth + 1) for each in held.values()]
        elif isinstance(held, list):
            left += [(each, depth + 1) for each in held]
    return ""
