"""Pins of official files: what a file's digest must be, written "KIND:HEX"."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Hex digest of the file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def git_blob(path: Path) -> str:
    """The id that git gives a file of these bytes."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def text_sha256(path: Path) -> str:
    """sha256 of a text with its line ends as LF: copies of one file differ in them (git on Windows, archives)."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


KINDS: Mapping[str, Callable[[Path], str]] = {"sha256": sha256, "git": git_blob, "text": text_sha256}


def actual(path: Path, pin: str) -> str:
    """The digest of ``path`` of the kind that ``pin`` is: "git:47e6642e...". Raises ValueError for an unknown kind."""
    kind = pin.partition(":")[0]
    if kind not in KINDS:
        raise ValueError(f"{pin}: expected KIND:HEX with a kind of {', '.join(KINDS)}")
    return f"{kind}:{KINDS[kind](path)}"


def fits(path: Path, pin: str) -> bool:
    """Whether the digest of ``path`` begins as ``pin`` says; without a pin any file does."""
    return not pin or actual(path, pin).startswith(pin)
