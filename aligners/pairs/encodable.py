"""Which pairs can be put to the model at all: each is encoded once before anything is computed, and that is kept."""

from __future__ import annotations

import dataclasses
import functools
import math
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.pairs.data import Pair, PairSet, content_hash
from aligners.pairs.encoding import BadPair, Encoder
from aligners.pairs.prepared import Stored, prepared
from aligners.pairs.report import counted, left_out
from aligners.pairs.rows import OR_LEFT_OUT
from harness.errors import DataError
from harness.protocols.progress import Progress, silent
from harness.util.options import content_key
from harness.util.pool import WorkerLost, cores, workers

TRIED, LEFT = 5.0, 20.0
"""Seconds after which, and seconds of work left from which, processes are worth their start."""
CHUNK = 64
"""Pairs that a process encodes at a time."""
PROCESSES = 32
"""At most; one process of a machine starts them, with the machine's cores, and the others wait for what it finds."""


@dataclasses.dataclass(frozen=True)
class Tried:
    """What came of encoding a pair.

    Args:
        fault: why it cannot be, ``reason`` without what is its own; "" where it can.
        cut: how many of its two responses do not fit into ``max_length``.
        lasting: whether that is so until the pair or the processor changes; not of an image that could not be read.
    """

    reason: str = ""
    fault: str = ""
    cut: int = 0
    lasting: bool = True


def encodable(pairs: PairSet, encoder: Encoder, *, skip_bad: bool = False, progress: Progress = silent) -> PairSet:
    """``pairs`` without those that the template, the tokenizer or the processor refuses; ``report`` says of these
    ("dropped") and counts pairs of which a response is cut ("responses_cut").

    Raises DataError naming the first such pair unless ``skip_bad``, and where none is left.
    """
    kept: list[Pair] = []
    dropped: dict[str, list[str]] = {}
    cut = 0
    for pair, tried in zip(pairs.pairs, _tried(pairs, encoder, progress), strict=True):
        if not tried.reason:
            kept.append(pair)
            cut += bool(tried.cut)
        elif skip_bad:
            dropped.setdefault(tried.reason, []).append(pair.id)
        else:
            raise DataError(f"{tried.fault.rstrip('. ')}. {OR_LEFT_OUT}")
    every = pairs.report["dropped"] | counted(dropped)
    if not kept:
        none = f"{pairs.report['source']}: no pair can be put to the model"
        raise DataError("; ".join([none, *left_out(every)]))
    report = {**pairs.report, "pairs": len(kept), "responses_cut": cut, "dropped": every}
    if not dropped:
        return dataclasses.replace(pairs, report=report)
    return dataclasses.replace(pairs, pairs=kept, content_hash=content_hash(kept), report=report)


def _tried(pairs: PairSet, encoder: Encoder, progress: Progress) -> list[Tried]:
    """What comes of encoding each pair, or came of it before with the same processor; other processes wait for it."""
    key = content_key("encodable-1", encoder.identity, content_hash(pairs.pairs))

    def make() -> Stored:
        found = _encode(pairs.pairs, encoder, progress)
        files = [image.path for pair in pairs.pairs for image in pair.images if image.path]
        lasting = all(each.lasting for each in found)
        return Stored({}, [dataclasses.asdict(each) for each in found], files if lasting else None)

    return [Tried(**each) for each in prepared(key, make).lines]


def _encode(pairs: Sequence[Pair], encoder: Encoder, progress: Progress) -> list[Tried]:
    """What comes of each: here, and where that would take long the rest of them in processes."""
    found: list[Tried] = []
    started = time.monotonic()
    while len(found) < len(pairs):
        found.append(_try(pairs[len(found)], encoder))
        progress("checking pairs", len(found), len(pairs))
        took, rest = time.monotonic() - started, pairs[len(found) :]
        if took >= TRIED and took / len(found) * len(rest) >= LEFT and _may_start(encoder):
            try:
                return found + _encode_in_processes(rest, encoder, _after(len(found), progress))
            except WorkerLost:  # perhaps for memory
                started = math.inf
    return found


def _after(before: int, progress: Progress) -> Progress:
    """``progress`` of the pairs that follow ``before`` others."""

    def report(step: str, done: int, total: int, note: str = "") -> None:
        progress(step, before + done, before + total, note)

    return report


def _encode_in_processes(pairs: Sequence[Pair], encoder: Encoder, progress: Progress) -> list[Tried]:
    packed = pickle.dumps(encoder)
    found: dict[int, list[Tried]] = {}
    with workers(cores(PROCESSES), threads=1) as pool:
        starts = {pool.submit(_try_all, packed, pairs[at : at + CHUNK]): at for at in range(0, len(pairs), CHUNK)}
        for future in pool.finished(starts, silent):
            found[starts[future]] = future.result()
            progress("checking pairs", sum(map(len, found.values())), len(pairs))
    return [each for _, chunk in sorted(found.items()) for each in chunk]


def _try_all(packed: bytes, pairs: Sequence[Pair]) -> list[Tried]:
    encoder = _unpacked(packed)
    return [_try(pair, encoder) for pair in pairs]


@functools.lru_cache(1)
def _unpacked(packed: bytes) -> Any:
    return pickle.loads(packed)


def _try(pair: Pair, encoder: Encoder) -> Tried:
    try:
        return Tried(cut=encoder(0, pair).cut)
    except BadPair as error:
        return Tried(error.reason, str(error))
    except DataError as error:
        return Tried(str(error).removeprefix(f"pair {pair.id}: "), str(error), lasting=False)


def _may_start(encoder: Encoder) -> bool:
    """Whether processes can be started: a script without its guard would be run again by each, and a processor whose
    code came with the model is not known to them."""
    processor = encoder.prompts.processor
    parts = (processor, getattr(processor, "tokenizer", None), getattr(processor, "image_processor", None))
    if any(type(part).__module__.startswith("transformers_modules") for part in parts):
        return False
    script = getattr(sys.modules["__main__"], "__file__", None)
    return script is None or "__main__" in Path(script).read_text(encoding="utf-8", errors="replace")
