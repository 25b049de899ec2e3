"""What caches share: a file that is damaged is thrown away and made anew, and what killed processes left is removed."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

UNFINISHED = (".part", ".tmp")
LEFT_FOR = 24 * 3600.0
"""Seconds after which nobody is still writing an unfinished file: its process may be on another machine."""


def discard(file: Path, why: str) -> None:
    """Remove a damaged file of a cache, and say so: the caller makes it anew."""
    warnings.warn(f"{file} is damaged ({why}): it is thrown away and made anew.", stacklevel=3)
    file.unlink(missing_ok=True)


def remove_unfinished(folder: Path, older_than: float = LEFT_FOR) -> None:
    """Remove the unfinished files under ``folder`` that nobody has written to for ``older_than`` seconds."""
    before = time.time() - older_than
    for file in folder.rglob("*"):
        if file.suffix in UNFINISHED and file.is_file() and file.stat().st_mtime < before:
            file.unlink(missing_ok=True)
