"""Paths in the results file: those in its folder are found again when the folder is moved.

Such a path is stored with a mark where the folder ends, "/home/me/work/./artifacts/aligned/dpo": it stays an absolute
path for whoever reads it elsewhere, and for a copy of the results file alone.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

MARK = "/./"


def stored_path(path: str, results: Path) -> str:
    """The absolute ``path`` as it is stored in the file ``results``; others ("" too) as they are."""
    if not Path(path).is_absolute():
        return path
    folder = _folder(results)
    resolved = _resolved(Path(path).parent) / Path(path).name
    return f"{folder}{MARK}{resolved.relative_to(folder)}" if resolved.is_relative_to(folder) else path


def read_path(stored: str, results: Path) -> str:
    """A path that the file ``results`` holds: where it is now, if the file's folder was moved with what is in it.

    A relative path, as older versions stored, is looked for beside the results file, too.
    """
    before, mark, inside = stored.rpartition(MARK)
    if not mark:
        beside = _folder(results) / stored
        return str(beside) if stored and not Path(stored).exists() and beside.exists() else stored
    here, there = _folder(results) / inside, Path(before) / inside
    return str(here if Path(before) == _folder(results) or here.exists() or not there.exists() else there)


@lru_cache(maxsize=64)
def _folder(results: Path) -> Path:
    return results.resolve().parent


@lru_cache(maxsize=1024)
def _resolved(folder: Path) -> Path:
    return folder.resolve()
