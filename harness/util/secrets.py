"""Keys and passwords of this process, and texts without them: nothing that is printed, stored or rendered holds one."""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

HIDDEN = "***"
SHORTEST = 6
"""Shorter values are not searched for: they would be found in words that hold no secret."""
ALONE = 16
"""Shorter values are searched for where they stand alone, so that no digest loses a part that happens to be one."""
PLACEHOLDERS = re.compile(
    r"(?i)none|null|empty|test(ing)?|token(-abc123)?|dummy|secret|password|changeme|default|local|ollama|lm-studio"
    r"|not-?needed|no[_-]?key|api[_-]?key|openai|vllm|sglang|unused|anything|string|sk-no-key-required|placeholder"
    r"|example|undefined"
)
"""What people set where a key is asked for and none is needed: no secrets, and words of other texts."""
VARIABLES = re.compile(r"(?i)(^|_)(api_?key|access_?key|secret_?key|token|secret|password|passwd)$")
"""Environment variables whose value is a secret."""
FIELDS = re.compile(
    r"(?i)(api_?key|access_?key|secret|password|passwd|authorization|credentials?|(access|auth)_?token)$"
)
"""Fields of settings and calls whose value is a secret; ``stop_token`` and ``max_tokens`` hold none."""
HEADER_NAMES = re.compile(r"(?i)key|token|auth|secret|cookie|password")
"""Headers whose value is a secret."""

USERINFO = re.compile(r"(?<=://)[^\s/@\"'<>]+(?=@)")
"""``user:password`` of a URL, also a key that stands there alone."""
IN_QUERY = re.compile(
    r"(?i)(?<=[?&;])((?:[a-z0-9_.-]*(?:key|token|secret|password|passwd|signature)|sig|pwd|auth)=)([^&\s#\"'<>]+)"
)
"""A secret in a URL's query: ``api_key=...``, ``X-Amz-Signature=...``, ``sig=...``."""
ASSIGNED = re.compile(
    r"(?i)\b((?:[a-z0-9]+[._-])*"
    r"(?:(?:api[_-]?key|access[_-]?token|auth[_-]?token|hf[_-]?token|secret[_-]key)[\"']?\s?[=:]"
    r"|(?:password|passwd|secret)(?:[\"']\s?:|[\"']?=))\s?[\"']?)([^\s\"'&,;{}()\[\]<>*]{6,})"
)
"""A secret with its name before it, as in settings and JSON: ``judge.api_key=...``, ``{"password": "..."}``."""
IN_HEADER = re.compile(
    r"(?i)(authorization[\"']?\s*[:=,]\s*b?[\"']?(?:bearer|basic)|\bbearer(?=\s+\S*\d))\s+([a-z0-9._~+/=-]{8,})"
)
"""``Authorization: Basic ...``, and ``Bearer`` before what is no word of prose."""
SHAPED = re.compile(r"\b(?:sk-|hf_|gsk_|xai-|ghp_|AIza)(?=[\w-]*\d)[\w-]{16,}")
"""Keys that are known by their form, whoever they belong to."""

_known: dict[str, re.Pattern[str]] = {}
_lock = threading.Lock()


def keep_secret(value: str) -> None:
    """From now on ``hide`` takes ``value`` out of every text, also as it is written in URLs and escaped in JSON."""
    value = value.strip()
    if len(value) < SHORTEST or PLACEHOLDERS.fullmatch(value):
        return
    with _lock:
        _known.setdefault(value, _spelled(value))


def _spelled(value: str) -> re.Pattern[str]:
    """``value`` with any of its characters as it is escaped in JSON, URLs, HTML and Python's literals."""
    characters = (
        rf"(?:{re.escape(c)}|\\+u(?i:{ord(c):04x})|\\+x(?i:{ord(c):02x})|%(?i:{ord(c):02x})|&#(?:0*{ord(c)}"
        rf"|(?i:x0*{ord(c):x}));|\\+{re.escape(c)})"
        for c in value
    )
    before, after = ("(?<![A-Za-z0-9])", "(?![A-Za-z0-9])") if len(value) < ALONE else ("", "")
    return re.compile(before + "".join(characters) + after)


@functools.cache
def keep_environment() -> None:
    """Keep what the environment holds of secrets, and the hub's token where `hf auth login` put it; once a process."""
    for name, value in os.environ.items():
        if VARIABLES.search(name) and not value.startswith(("/", ".", "~")):
            keep_secret(value)
    keep_headers(os.environ.get("OPENAI_CUSTOM_HEADERS", ""))
    hub = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    try:
        keep_secret(Path(os.environ.get("HF_TOKEN_PATH") or hub / "token").read_text())
    except (OSError, ValueError):  # most have none
        return


def keep_headers(lines: str) -> None:
    """Keep the secret values of ``NAME: VALUE`` lines, as $OPENAI_CUSTOM_HEADERS has them."""
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        if HEADER_NAMES.search(name):
            keep_secret(value.strip())
            keep_secret(value.strip().partition(" ")[2])  # behind Bearer


def hide_known(text: str) -> str:
    """``text`` with *** in place of every secret that was kept, and of nothing else: for what a model or judge said."""
    keep_environment()
    escaped = "\\" in text or "%" in text or "&#" in text
    for value, spelled in list(_known.items()):
        if escaped or value in text:
            text = spelled.sub(HIDDEN, text)
    return text


def hide(text: str) -> str:
    """``text`` as ``hide_known`` gives it, without what a URL, header or setting shows as a secret: for messages."""
    text = hide_known(text)
    if "://" in text:
        text = USERINFO.sub(HIDDEN, text)
    text = ASSIGNED.sub(rf"\1{HIDDEN}", IN_QUERY.sub(rf"\1{HIDDEN}", text))
    return SHAPED.sub(HIDDEN, IN_HEADER.sub(rf"\1 {HIDDEN}", text))


def keep_shown(text: str) -> None:
    """Keep what ``hide`` would find in ``text``, a user's own: arguments of a command, a recipe, a price list.

    So it is hidden as well where it stands without what shows it for a secret.
    """
    for found in USERINFO.findall(text):
        keep_secret(found)
        keep_secret(found.partition(":")[2])
    for _, found in [*IN_QUERY.findall(text), *ASSIGNED.findall(text), *IN_HEADER.findall(text)]:
        keep_secret(found)
    for found in SHAPED.findall(text):
        keep_secret(found)


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The names of fields in ``value`` that hold a secret, by their name or because it is known for one; they are kept
    as secrets from now on.
    """
    if isinstance(value, Mapping):
        for inner, held in value.items():
            yield from secrets_in(held, str(inner))
    elif isinstance(value, list):
        for held in value:
            yield from secrets_in(held, name)
    elif isinstance(value, str) and value:
        if FIELDS.search(name.replace("-", "_")):
            keep_secret(value)
            yield name
        elif hide(value) != value:
            yield name


def hidden_values(values: Any) -> Any:
    """A database row, or named values, with ``hide_known`` applied to each text."""
    if isinstance(values, Mapping):
        return {name: hide_known(value) if isinstance(value, str) else value for name, value in values.items()}
    return tuple(hide_known(value) if isinstance(value, str) else value for value in values)


class HidingStream:
    """A text stream that takes secrets out of what is written to it by ``rule``; all else is the stream's own.

    As sys.stdout and sys.stderr it is the door for whatever prints: tables, warnings, log lines, tracebacks.
    """

    def __init__(self, stream: TextIO, rule: Callable[[str], str] = hide) -> None:
        self._stream, self._rule = stream, rule

    def write(self, text: str) -> int:
        self._stream.write(self._rule(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_output() -> None:
    """Put the streams of this process behind ``hide``; what the command line shows as a secret is one from now on."""
    keep_shown(shlex.join(sys.argv))
    if not isinstance(sys.stdout, HidingStream):
        sys.stdout = HidingStream(sys.stdout, hide_known)  # type: ignore[assignment]
        sys.stderr = HidingStream(sys.stderr)  # type: ignore[assignment]
