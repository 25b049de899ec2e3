"""Whether a file that a data file names may be used: it lies inside the folder of the data, links followed.

What is named by data is read, trained on and sent to endpoints; a row must not choose ``/proc/self/environ`` for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from harness.util.paths import home

VARIABLE = "DAMA_IMAGES"
"""The environment variable of further folders whose images may be used, separated as in PATH."""


def image_roots(*folders: Path) -> tuple[str, ...]:
    """The real paths of ``folders``, of those in $DAMA_IMAGES, of the cache of images and of the embedded world, whose
    pairs with exchanged labels name the images of the clean ones.
    """
    more = [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    own = (home() / "cache" / "images", home() / "tinyworld")
    return tuple(os.path.realpath(folder) for folder in (*folders, *more, *own))


def inside(path: Path, roots: Iterable[str]) -> Path | None:
    """The real path of ``path`` where that lies in one of ``roots`` (real paths); None where it does not."""
    real = os.path.realpath(path)
    held = any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
    return Path(real) if held else None
