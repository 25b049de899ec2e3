"""Answers a second of a made model of 7B's shapes: this project's batches against one question at a time.

Both routes ask the same loaded model. Its weights are random, so that two tokens are often almost equally likely, and
in bfloat16 two layouts may then choose differently: the share of equal answers is shown and is no test.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from generate import Answering, asked_alone, in_batches, questions

import harness  # noqa: F401  (makes torchvision importable)
from gpu.parts import Row, write_rows
from gpu.steps import world
from harness.models.hf import HfModel
from harness.models.spec import load_model
from harness.protocols.benchmark import Decoding, Sample


def timed(answer: Answering, samples: Sequence[Sample], decoding: Decoding) -> tuple[float, list[str], float]:
    """Seconds, answers, and megabytes of the device above what was there before; after a warm-up of two questions."""
    cuda = torch.cuda.is_available()
    answer(samples[:2], decoding)
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    before, began = torch.cuda.memory_allocated() if cuda else 0, time.perf_counter()
    answers = answer(samples, decoding)
    if cuda:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    return seconds, answers, (torch.cuda.max_memory_allocated() - before) / 2**20 if cuda else 0.0


def compared(model: HfModel, images: int, captions: int, out: Path) -> list[Row]:
    """A row for either workload and route; written as they are found, ours first."""
    rows: list[Row] = []
    for workload, (samples, decoding) in questions(images, captions).items():
        seconds, answers, memory = timed(in_batches(model), samples, decoding)
        ours: Row = {"workload": workload, "route": f"this project, {model.route}", "questions": len(samples)}
        rows.append(ours | {"a second": len(samples) / seconds, "peak MB more": memory})
        write_rows(out, rows)
        alone = asked_alone(model.network, model.prompts.processor)
        slower, others, memory = timed(alone, samples, decoding)
        same = sum(a == b for a, b in zip(answers, others, strict=True)) / len(samples)
        row: Row = {"workload": workload, "route": "one by one", "questions": len(samples)}
        rows.append(row | {"a second": len(samples) / slower, "peak MB more": memory, "equal answers": f"{same:.0%}"})
        rows[-2]["against one by one"] = slower / seconds
        write_rows(out, rows)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=80)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()
    folder = world(options.work, "toy" if options.toy else "7b")
    model = load_model(f"hf:{folder / 'model'}", device="auto")
    assert isinstance(model, HfModel)
    images, captions = (1, 2) if options.toy else (4, 8)
    compared(model, images, captions, options.out)


if __name__ == "__main__":
    main()
