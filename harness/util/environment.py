"""Which code made a result: the commit of this project and the versions of what computes."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("dama-harness", "torch", "transformers", "peft", "open_clip_torch", "openai", "lmms_eval", "numpy")


@lru_cache
def environment() -> dict[str, str]:
    """``commit`` (ending in "-dirty" where files differ from it, "" outside a checkout), Python and library versions.

    A library that is not installed is left out.
    """
    versions = {"commit": _commit(), "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _commit() -> str:
    root = Path(__file__).resolve().parents[2]
    if _git(root, "rev-parse", "--show-toplevel") != str(root):
        return ""  # installed somewhere inside another project's checkout
    return _git(root, "describe", "--always", "--dirty", "--abbrev=10")


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
