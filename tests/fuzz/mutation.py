"""Inputs that are nearly valid: seeded changes to texts, bytes and JSON values, with what readers trip over."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

TEXTS = (
    "", " ", "\0", "\ud800", "\udfff", "\ufeff", "\r", "\r\n", "\n", "\u2028", "\x85", "\x1b[31m", "\t", "🙂", "ß", "İ",
    "²", "٣", "९", "0", "-0", "-1", "1", "1.5", "0.7", "6", "10", "1e5", "1e999", "-1e999", "NaN", "nan", "Infinity",
    "inf", ".inf", ".nan", "0x10", "1_000", "1:30", "2026-01-01", "9" * 30, "~", "null", "None", "true", "on", "yes",
    "no", "Yes.", "not", "[", "]", "{", "}", "[]", "{}", "()", "[[", '["', '"]', '"', "'", "\\", "\\u0000", "\\ud800",
    ",", ":", ": ", "=", "==", "- ", "#", "@", "@http://", "://", "+", "/", "../..", "~/", "*", "*a", "&a ", "<<: *a",
    "!!python/object/apply:os.system ['true']", "!!binary x", "!x ", "%s", "{0.__class__}", "{answer}", "<image>",
    "<video>", "<think>", "</think>", "<answer>", "</answer>", "Rating: ", "rating", "Assistant 1: ", "```json\n",
    "```", "USER: ", " ASSISTANT:", "### Human: ", "### Assistant: ", "[INST]", "[/INST]", "role", "content", "array(",
    "a.b", ".", "..", "model.", "train.", "benchmark", "$HOME", "`id`", "=1+1", "<script>", "x" * 300,
)  # fmt: skip
HEAVY = ("9" * 5000, "[" * 3000, '{"a":' * 2000, "(" * 500, "<think>" * 400, " " * 3000, "-" * 3000, "&a [*a,*a]\n" * 9)
"""Texts that are costly to a reader, which are tried now and then."""
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, 0.5, -0.0, math.nan, math.inf, -math.inf, 2**31, 2**63, 10**30, 1e308, "", " ", "0",
    "1", "nan", "yes", "no", "\0", "\ud800", "²", "<image>", "a", "x" * 300, [], {}, [[]], [None], [{}], {"": ""}, [0],
    ["a"], [["a", "b"]], {"a": 1}, {"role": "user", "content": "hi"}, {"from": "gpt", "value": 1}, [{"type": "text"}],
    {"type": "image", "path": ""}, {"path": "x.png", "bytes": None}, {"bytes": "x"},
)  # fmt: skip


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def text(random: Random, corpus: Sequence[str]) -> str:
    """A text of the corpus after one to four changes."""
    made = random.choice(corpus)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        made = _changed(random, made, corpus)
    return made


def _changed(random: Random, made: str, corpus: Sequence[str]) -> str:
    start = random.randrange(len(made) + 1)
    end = min(len(made), start + random.choice((0, 0, 1, 1, 2, 5, 20)))
    way = random.randrange(100)
    if way < 45:
        return made[:start] + random.choice(TEXTS) + made[end:]
    if way < 60:
        return made[:start] + made[end:]
    if way < 68:
        return made[:end] + made[start:end] * random.choice((1, 2, 30)) + made[end:]
    if way < 78:
        return made[:start] + chr(random.choice((random.randrange(128), random.randrange(0x2100)))) + made[end:]
    if way < 88:
        other = random.choice(corpus)
        return made[:start] + other[random.randrange(len(other) + 1) :]
    if way < 93:
        return made.replace("\n", random.choice(("\r", "\r\n", " ", "\n\n", "\n\ufeff")))
    if way < 99:
        return random.choice(TEXTS) + made if way < 96 else made + random.choice(TEXTS)
    return made[:start] + random.choice(HEAVY) + made[end:]


def encoded(random: Random, corpus: Sequence[str]) -> bytes:
    """A changed text as a file's content: UTF-8 mostly, which half surrogate pairs and single bytes spoil."""
    made = text(random, corpus).encode("utf-8", "surrogatepass")
    way = random.randrange(20)
    if way == 0:
        return made.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-16-le", "utf-8-sig")))
    return binary(random, [made]) if way < 3 else made


def binary(random: Random, corpus: Sequence[bytes]) -> bytes:
    """Bytes of the corpus after one to four changes, or cut short."""
    made = bytearray(random.choice(corpus))
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(made) + 1)
        way = random.randrange(6)
        if way == 0:
            del made[at : at + random.choice((1, 4, 60))]
        elif way == 1:
            made[at:at] = random.randbytes(random.choice((1, 4, 9)))
        elif way == 2:
            del made[at:]
        elif at < len(made):
            made[at] = random.choice((0, 0xFF, 0x7F, 0x80, random.randrange(256)))
    return bytes(made)


def value(random: Random, corpus: Sequence[Any]) -> Any:
    """A JSON value of the corpus after one to three changes somewhere inside it; the corpus stays as it is."""
    made = random.choice(corpus)
    for _ in range(random.choice((1, 1, 2, 3))):
        made = _value_changed(random, made, corpus)
    return made


def _value_changed(random: Random, made: Any, corpus: Sequence[Any]) -> Any:
    if isinstance(made, dict) and made and random.random() < 0.9:
        return _mapping_changed(random, made, corpus)
    if isinstance(made, list) and made and random.random() < 0.8:
        at, way = random.randrange(len(made)), random.randrange(8)
        if way == 0:
            return made[:at] + made[at + 1 :]
        changed = [made[at]] * 2 if way == 1 else [_value_changed(random, made[at], corpus)]
        return [*made[:at], *changed, *made[at + 1 :]]
    way = random.randrange(12)
    if isinstance(made, str) and way < 6:
        return _changed(random, made, [made])
    if way == 6:
        return [made]
    if way == 7:
        return json.dumps(made) if random.random() < 0.7 else str(made)
    if way == 8 and random.random() < 0.1:
        return nested(60)
    return random.choice(VALUES)


def _mapping_changed(random: Random, made: dict[str, Any], corpus: Sequence[Any]) -> dict[str, Any]:
    name, way = random.choice(list(made)), random.randrange(10)
    if way == 0:
        return {key: held for key, held in made.items() if key != name}
    if way == 1:
        return {random.choice(TEXTS) if key == name else key: held for key, held in made.items()}
    if way == 2:
        others = [each for each in corpus if isinstance(each, dict) and each]
        other = random.choice(others) if others else made
        key = random.choice(list(other))
        return {**made, key: other[key]}
    return {**made, name: _value_changed(random, made[name], corpus)}


def lines(random: Random, corpus: Sequence[Sequence[Any]]) -> bytes:
    """The rows of a JSON lines file with one of them changed, as a value or as text."""
    rows = list(random.choice(corpus))
    rows = random.sample(rows, min(len(rows), 3))
    at = random.randrange(len(rows))
    if random.random() < 0.8:
        rows[at] = _value_changed(random, rows[at], rows)
    written = "\n".join(json.dumps(row) for row in rows) + "\n"
    return encoded(random, [written]) if random.random() < 0.3 else written.encode()


def document(random: Random, corpus: Sequence[Any]) -> bytes:
    """A JSON file with a change in its value, in its text, or in both."""
    written = json.dumps(value(random, corpus) if random.random() < 0.85 else random.choice(corpus))
    return encoded(random, [written]) if random.random() < 0.25 else written.encode()


Change = Callable[[Random, Sequence[Any]], Any]
"""What makes an input out of a corpus: ``text``, ``encoded``, ``binary``, ``value``, ``lines`` or ``document``."""
