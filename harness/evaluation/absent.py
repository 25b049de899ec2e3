"""Images that are not there: their questions are failed answers, never asked without them."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Sequence

from harness.errors import DataError
from harness.protocols.benchmark import Sample

NAMED = 3
"""Missing images that a message names."""


def absent_images(samples: Sequence[Sample]) -> dict[str, str]:
    """By sample id, why there is no image to show; samples whose image is there, or that have none, are left out.

    No image is opened: one that is there and cannot be read is the failed answer of who opens it.
    """
    reasons = {}
    for sample in samples:
        image = sample.image
        if image is None or image.data is not None:
            continue
        if image.path is None:
            reasons[sample.id] = "the data hold no image for this question"
        elif not image.path.is_file():
            reasons[sample.id] = f"its image is not there: {image.path}"
    return reasons


def absent_note(named: str, samples: Sequence[Sample]) -> str:
    """How many ``samples`` of the benchmark ``named`` lack their image, with the first reasons; "" if none does."""
    absent = absent_images(samples)
    reasons = list(dict.fromkeys(absent.values()))
    shown = "; ".join(reasons[:NAMED]) + ("; ..." if len(reasons) > NAMED else "")
    return f"{named}: {len(absent)} of {len(samples)} samples have no image ({shown})" if absent else ""


def _beside(samples: Sequence[Sample]) -> str:
    """What lies where the first image should: other names of the same images, or a folder of them; "" if nothing."""
    folder = next((s.image.path.parent for s in samples if s.image is not None and s.image.path is not None), None)
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(folder)) if folder is not None else []
    return f" ({folder} holds {', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})" if names else ""


def check_images(named: str, samples: Sequence[Sample]) -> None:
    """Called before a model is loaded: a warning of what is missing.

    Raises DataError where all images are missing: the data directory will be the wrong one.
    """
    found = absent_note(named, samples)
    if found and len(absent_images(samples)) == len(samples):
        raise DataError(f"{found}. No model was loaded; check --data-dir, or add the images there{_beside(samples)}.")
    if found:
        warnings.warn(f"{found}. They are not asked and count as failed.", stacklevel=2)
