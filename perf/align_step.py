"""One preference step of ours against TRL's DPOTrainer: the same model, pairs and settings, in one run.

    python perf/align_step.py [--steps 3] [--checkpointing] [--flops-only] [--device cpu]

1. FLOPs a pair at LLaVA-1.5-7B's shapes (616 shared and 150 response tokens), counted exactly (perf/align_flops.py).
2. Steps of real training on this machine with a random LLaVA of 7B's proportions: pairs a second and peak memory,
   every engine in a process of its own. On a GPU the model has 7B's shapes, in bfloat16, timed with CUDA events.

Both engines train from the same image files and texts; collation counts, what is done once (the reference cache)
does not and is printed beside. CPU seconds of one thread are what ratios are made of: wall time shows the load.
Both hold weights of the same type: float32, under LoRA on a GPU bfloat16. `perf/gpu.sh` calls the worker too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import harness  # noqa: F401  (makes torchvision importable)

ROOT = Path(__file__).parents[1]
ENGINES = ("trl", "dpo", "gap")
PAIRS = 4
Times = dict[str, float]
"""Seconds of a step (``step``: of CPU, on a GPU between CUDA events; ``wall``), seconds before, and MB at the peak."""
TARGETS = {"one": {True: 2.4, False: 2.2}, "two": {True: 1.8, False: 1.9}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3, help="measured steps; one more comes first")
    parser.add_argument("--checkpointing", action="store_true", help="with gradient checkpointing in both engines")
    parser.add_argument("--flops-only", action="store_true")
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto")
    parser.add_argument("--worker", nargs=3, metavar=("ENGINE", "LORA", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=PAIRS, help=argparse.SUPPRESS)
    parser.add_argument("--micro-batch", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if args.worker:
        engine, lora, folder = args.worker
        split = Split(args.pairs, args.micro_batch or args.pairs // (2 if engine == "gap" else 1))
        print(json.dumps(measure(engine, lora == "lora", Path(folder), args.steps, args.checkpointing, split)))
        return
    print_flops()
    if not args.flops_only:
        print_times(args.steps, args.checkpointing)


def print_flops() -> None:
    import align_flops
    import trl

    print(f"FLOPs a pair, LLaVA-1.5-7B shapes, against TRL {trl.__version__} (TFLOP; wanted ratio in brackets)")
    for lora in (True, False):
        for checkpointing in (False, True):
            found = align_flops.count(lora, checkpointing)
            wanted = {kind: 2.1 if checkpointing and kind == "one" else TARGETS[kind][lora] for kind in ("one", "two")}
            print(
                f"  {'LoRA' if lora else 'full':4} checkpointing {'on ' if checkpointing else 'off'}"
                f"  TRL {found['trl']:6.2f}"
                f"  dpo, hardness {found['one']:6.2f} = {found['trl'] / found['one']:.2f}x ({wanted['one']})"
                f"  gap, dama in two passes {found['two']:6.2f} = {found['trl'] / found['two']:.2f}x ({wanted['two']})",
                flush=True,
            )
    for lora in (True, False):
        shared = {pairs: align_flops.count_of_one_image(lora, False, pairs) for pairs in (1, 2, 4, 8)}
        shares = "  ".join(f"{pairs}: {tflop:.2f} ({shared[1] / tflop:.2f}x)" for pairs, tflop in shared.items())
        print(f"  {'LoRA' if lora else 'full':4} dpo with share_images=true, by pairs an image  {shares}", flush=True)


def print_times(steps: int, checkpointing: bool) -> None:
    from align_world import make_world

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        device = make_world(folder, 4 * PAIRS)
        print(f"\nTraining steps of {PAIRS} pairs on {device}, checkpointing {'on' if checkpointing else 'off'}")
        for lora in ("lora", "full"):
            found = {engine: run(engine, lora, folder, steps, checkpointing) for engine in ENGINES}
            for engine, each in found.items():
                ratio = found["trl"]["step"] / each["step"]
                memory = found["trl"]["memory"] / each["memory"]
                print(
                    f"  {lora:4} {engine:4} {PAIRS / each['step']:7.3f} pairs/s ({ratio:.2f}x)"
                    f"  wall {PAIRS / each['wall']:7.3f} pairs/s"
                    f"  peak memory of training {each['memory']:7.0f} MB ({memory:.2f}x less)"
                    f"  once before: {each['once']:.1f} s",
                    flush=True,
                )


def run(engine: str, lora: str, folder: Path, steps: int, checkpointing: bool) -> Times:
    command = [sys.executable, __file__, "--worker", engine, lora, str(folder), "--steps", str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DAMA_HOME": str(folder / f"home-{engine}-{lora}")}
    flags = ["--checkpointing"] if checkpointing else []
    done = subprocess.run([*command, *flags], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{engine}, {lora}: failed\n{done.stderr[-3000:]}")
    result: Times = json.loads(done.stdout.splitlines()[-1])
    return result


# -- the engines ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Split:
    """``pairs`` of a step, of which ``micro`` go through the model at a time."""

    pairs: int
    micro: int


@dataclasses.dataclass
class Clock:
    """Marks at the end of every optimiser step: seconds of CPU and of the wall; on a GPU CUDA events too."""

    marks: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    events: list[Any] = dataclasses.field(default_factory=list)
    base_memory: float = 0.0

    def start(self) -> None:
        import torch

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self.base_memory = resident()

    def tick(self) -> None:
        import torch

        if torch.cuda.is_available():
            self.events.append(torch.cuda.Event(enable_timing=True))
            self.events[-1].record()
        self.marks.append((time.process_time(), time.monotonic()))

    def result(self, once: float) -> Times:
        import torch

        steps = list(pairwise(self.marks))
        cpu, wall = min(b[0] - a[0] for a, b in steps), min(b[1] - a[1] for a, b in steps)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
            gpu = min(a.elapsed_time(b) for a, b in pairwise(self.events)) / 1000
            return {"step": gpu, "wall": wall, "memory": torch.cuda.max_memory_allocated() / 2**20, "once": once}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"step": cpu, "wall": wall, "memory": peak - self.base_memory, "once": once}


def resident() -> float:
    """Resident memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(engine: str, lora: bool, folder: Path, steps: int, checkpointing: bool, split: Split) -> Times:
    import torch

    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    work = train_trl if engine == "trl" else train_ours
    return work(engine, lora, folder, steps + 1, checkpointing, split)


def train_trl(_: str, lora: bool, folder: Path, steps: int, checkpointing: bool, split: Split) -> Times:
    """TRL's DPOTrainer with its head restricted to response positions, as it is on a GPU; the tower frozen."""
    from unittest import mock

    import torch
    from datasets import Dataset
    from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    from harness.util.images import open_image

    cuda = torch.cuda.is_available()
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    said = [("question", "prompt", "user"), ("chosen", "chosen", "assistant"), ("rejected", "rejected", "assistant")]
    data = Dataset.from_list(
        [
            {
                "images": [open_image((folder / row["image"]).read_bytes())],
                **{to: [{"role": role, "content": row[name]}] for name, to, role in said},
            }
            for row in rows
        ]
    )
    source = str(folder / "model")
    dtype = torch.bfloat16 if cuda and lora else torch.float32
    model = AutoModelForImageTextToText.from_pretrained(source, dtype=dtype)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("vision_tower" not in name)
    args = DPOConfig(
        str(folder / "trl"),
        max_steps=steps,
        per_device_train_batch_size=split.micro,
        gradient_accumulation_steps=split.pairs // split.micro,
        learning_rate=5e-7,
        max_length=None,
        gradient_checkpointing=checkpointing,
        bf16=cuda,
        use_cpu=not cuda,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
    )
    clock = Clock()
    trainer = DPOTrainer(
        model,
        args=args,
        train_dataset=data,
        processing_class=AutoProcessor.from_pretrained(source),
        peft_config=lora_settings(model) if lora else None,
        callbacks=[_ticking(TrainerCallback, clock)],
    )
    clock.start()
    with mock.patch("trl.trainer.utils._use_triton", lambda _: True):
        trainer.train()
    return clock.result(once=0.0)


def lora_settings(model: Any) -> Any:
    from peft import LoraConfig

    from aligners.training.lora import lora_targets

    return LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=lora_targets(model))


def _ticking(base: type[Any], clock: Clock) -> Any:
    class Ticking(base):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.tick()

    return Ticking()


class Steps:
    """A recorder that takes the time of every step and keeps nothing else."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def log_step(self, *_: Any) -> None:
        self._clock.tick()

    def log_gaps(self, *_: Any) -> None:
        if not self._clock.marks and not self._clock.base_memory:
            self._clock.start()

    def log_hardness(self, *_: Any) -> None: ...

    def log_info(self, *_: Any) -> None: ...


def train_ours(engine: str, lora: bool, folder: Path, steps: int, checkpointing: bool, split: Split) -> Times:
    """This harness with ``dpo`` (one pass), ``gap`` in two passes (two micro-batches a step), or ``plain``: dpo with
    each response in a row of its own, the image twice."""
    from aligners.objective import ALIGNERS
    from aligners.training.config import AlignConfig
    from aligners.training.pipeline import align

    config = AlignConfig(
        model=str(folder / "model"),
        data=str(folder / "train.jsonl"),
        batch_size=split.pairs,
        micro_batch=split.micro,
        route="plain" if engine == "plain" else "auto",
        epochs=-(-steps * split.pairs // (4 * PAIRS)),
        lora_rank=16 if lora else 0,
        gradient_checkpointing=checkpointing,
        checkpoint_every=0,
        probe_every=0,
    )
    clock, started = Clock(), time.process_time()
    objective = ALIGNERS.get("dpo" if engine == "plain" else engine)()
    align(config, objective, Steps(clock), folder / f"out-{engine}", hardness=None, resume=False)
    clock.marks, clock.events = clock.marks[:steps], clock.events[:steps]
    return clock.result(once=clock.marks[0][0] - started)


if __name__ == "__main__":
    main()
