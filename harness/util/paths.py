"""Where artefacts live: ``$DAMA_HOME``, by default ``artifacts`` in the current directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def home() -> Path:
    """The directory of everything made and cached (models, hardness, reference log-probs, fetched data)."""
    return Path(os.environ.get("DAMA_HOME", "artifacts"))


def cache_dir(kind: str) -> Path:
    """``home()/cache/kind``, made if absent."""
    path = home() / "cache" / kind
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; the others wait. ``file`` is made if absent, and stays.

    On a file system without locks nobody waits.
    """
    with file.open("w") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
