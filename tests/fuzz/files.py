"""Files that are fuzzed: one folder of this process, in memory where there is such a place, and its errors checked."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

MEMORY = Path("/dev/shm")


@cache
def folder() -> Path:
    """A folder that is there until the process ends."""
    made = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def fresh(name: str) -> Path:
    """An empty folder of that name in it."""
    made = folder() / name
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    return made


def reading(name: str, read: Callable[[Path], Any], *, named: bool = True) -> Callable[[bytes], None]:
    """What feeds a file's content to ``read``, whose errors must name the file, or its place in it (``named`` false:
    settings are called by their own names)."""

    def feed(content: bytes) -> None:
        path = folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if named:
            naming(path, lambda: read(path))
        else:
            read(path)

    return feed


def naming(path: Path, read: Callable[[], Any]) -> None:
    """Run ``read``, whose errors must name the file at ``path``."""
    try:
        read()
    except HarnessError as error:
        assert path.parent.name in str(error), f"the error does not name {path}: {error}"
        raise
