"""From a benchmark's name to its samples: the one road for every command."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from harness.evaluation.drawing import draw
from harness.evaluation.plugged import checked_data
from harness.protocols.benchmark import BENCHMARKS, Benchmark, BenchmarkData, Sample
from harness.protocols.conversation import Image
from harness.util.inside import VARIABLE, image_roots, inside
from harness.util.options import build, content_key, unstorable

DATA_SIZE = "data_size"
"""In ``BenchmarkData.info`` and an evaluation's: the samples of the data directory, of which a limit draws some."""


def make_benchmark(name: str, settings: Mapping[str, Any] | None = None) -> Benchmark:
    """The benchmark ``name`` with ``--set`` values applied."""
    return build(BENCHMARKS.get(name), settings or {}, f"benchmark {name}")


def data_dir(benchmark: str, root: Path) -> Path:
    """``root/benchmark`` if it is there, else ``root`` (DESIGN: contract of --data-dir).

    Raises UsageError where there is no directory, or nothing in it though the benchmark has official files.
    """
    expected = f"expected one that holds a folder {benchmark} with its files, or these files"
    if not root.is_dir():
        raise UsageError(f"--data-dir {root}: no such directory; {expected}.")
    folder = root / benchmark if (root / benchmark).is_dir() else root
    if BENCHMARKS.get(benchmark).sources and not os.listdir(folder):
        raise UsageError(f"--data-dir {folder}: an empty directory; {expected} (`cli.py fetch {benchmark}`).")
    return folder


def load(benchmark: Benchmark, root: Path, limit: int | None = None) -> BenchmarkData:
    """What the data directory holds, at most ``limit`` of it; duplicates and an empty set are errors.

    An image that lies outside ``root``, links followed, is refused: a model's endpoint would be sent any file that a
    row names. A sample without an image has an Image of nothing unless the benchmark has questions without one.
    ``info`` says how many samples there are without a limit (``DATA_SIZE``).
    """
    data = checked_data(benchmark, benchmark.load(root))
    twice = next((i for i, count in Counter(s.id for s in data.samples).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{root}: {benchmark.name} has two samples with the id {twice!r}: keep one.")
    if not data.samples:
        raise DataError(f"{root}: no {benchmark.name} samples found.")
    samples = data.samples if limit is None else draw(benchmark, data.samples, limit)
    _require_inside(samples, root, benchmark.name)
    if not benchmark.image_optional:
        samples = [s if s.image is not None else dataclasses.replace(s, image=Image()) for s in samples]
    return dataclasses.replace(data, samples=samples, info={**data.info, DATA_SIZE: len(data.samples)})


def _require_inside(samples: Sequence[Sample], root: Path, name: str) -> None:
    roots = image_roots(root)
    for path in dict.fromkeys(s.image.path for s in samples if s.image is not None and s.image.path is not None):
        if fault := unstorable(str(path)):
            raise DataError(f"{root}: the name of an image of {name} is no file's: {fault}.")
        if inside(path, roots) is None:
            broken = "" if path.exists() else ", which is not there"
            raise DataError(
                f"{root}: an image of {name} lies outside this folder: {path} ({os.path.realpath(path)}{broken}). Put "
                f"it there, or name the folder that it is in with the environment variable {VARIABLE}."
            )


def data_key(benchmark: str, samples: Sequence[Sample]) -> str:
    """Identity of the questions and truths that were asked; images are part of the answers' keys."""
    return content_key(benchmark, [(s.id, s.prompt, dict(s.data)) for s in samples])
