"""Where artefacts live: ``$DAMA_HOME``, by default ``artifacts`` in the current directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def home() -> Path:
    """The directory of everything made and cached (models, hardness, reference log-probs, fetched data)."""
    return Path(os.environ.get("DAMA_HOME", "artifacts"))


_instead: Path | None = None  # of the caches; seen by all threads of the process, which a context variable is not


def kept_dir(kind: str) -> Path:
    """``home()/cache/kind``, there or not."""
    return home() / "cache" / kind


def cache_dir(kind: str) -> Path:
    """``kept_dir(kind)``, made if absent; another folder within ``nothing_kept``."""
    path = _instead / kind if _instead else kept_dir(kind)
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def nothing_kept() -> Iterator[None]:
    """Within it caches lie in a folder that is removed at its end: for a dry run, which leaves nothing behind."""
    global _instead
    with tempfile.TemporaryDirectory(prefix="dama-") as folder:
        before, _instead = _instead, Path(folder)
        try:
            yield
        finally:
            _instead = before


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; the others wait. ``file`` is made if absent, and stays.

    On a file system without locks nobody waits.
    """
    with file.open("w") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
