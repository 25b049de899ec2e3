"""Which pairs can be put to the model at all: found before anything is computed, not in the middle of training."""

from __future__ import annotations

import dataclasses

from aligners.pairs.data import Pair, PairSet, content_hash
from aligners.pairs.encoding import Encoder
from harness.errors import DataError
from harness.protocols.progress import Progress, silent
from harness.util.images import image_size

UNUSUAL = 16
"""Sides of an image in this ratio are rare, and some processors refuse them (Qwen-VL from 200 on)."""


def encodable(pairs: PairSet, encoder: Encoder, *, skip_bad: bool = False, progress: Progress = silent) -> PairSet:
    """``pairs`` without those that the template or the processor refuses, which ``report["dropped"]`` names.

    Texts are rendered, without tokens; of the images only those of an unusual shape are put through the processor.
    Raises DataError naming the first such pair unless ``skip_bad``, and where none is left.
    """
    kept: list[Pair] = []
    dropped: dict[str, list[str]] = {}
    for number, pair in enumerate(pairs.pairs, start=1):
        progress("checking pairs", number, len(pairs.pairs))
        try:
            encoder.form(pair)
            if _unusual(pair):
                encoder(0, pair)
        except DataError as error:
            if not skip_bad:
                raise DataError(f"{error} Or leave such rows out with --set skip_bad_rows=true.") from error
            dropped.setdefault(str(error).removeprefix(f"pair {pair.id}: "), []).append(pair.id)
        else:
            kept.append(pair)
    if not dropped:
        return pairs
    if not kept:
        raise DataError(f"{pairs.report['source']}: no pair can be put to the model: {next(iter(dropped))}")
    counts = {reason: {"rows": len(ids), "first": ids[:3]} for reason, ids in dropped.items()}
    report = {**pairs.report, "pairs": len(kept), "dropped": pairs.report["dropped"] | counts}
    return dataclasses.replace(pairs, pairs=kept, content_hash=content_hash(kept), report=report)


def _unusual(pair: Pair) -> bool:
    """Whether an image of ``pair`` is much longer than it is wide, or the other way round."""
    try:
        sizes = [image_size(image.path or image.read()) for image in pair.images]
    except (OSError, ValueError) as error:
        raise DataError(f"pair {pair.id}: the image cannot be read ({error}).") from error
    return any(max(size) > UNUSUAL * min(size) for size in sizes)
