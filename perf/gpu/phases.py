"""Where the time of a step goes: by phase of the step, then by kernel, and how often the host waits for the device.

Two steps are timed without a profiler: at every change of phase an event is put on the device's stream, so that the
time between two events is that in which the device worked on the first's phase, or had nothing to do during it. One
more step runs under torch.profiler.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from gpu.parts import Row, write_rows
from gpu.steps import PAIRS, world

WARM, TIMED = 2, 2
"""Steps before any is timed, and steps that are."""
BETWEEN = "between the others"
CALLS = {
    "reading and encoding pairs": ("aligners.pairs.encoding", "Encoder.__call__"),
    "forward, what is left": ("aligners.training.trainer", "response_logprobs"),
    "loss and weights": ("aligners.training.trainer", "PreferenceTrainer.compute_loss"),
    "backward": ("accelerate", "Accelerator.backward"),
    "gradient norm": ("accelerate", "Accelerator.clip_grad_norm_"),
    "optimiser": ("accelerate.optimizer", "AcceleratedOptimizer.step"),
    "records of the step": ("aligners.training.trainer", "PreferenceTrainer.log"),
}
"""The functions that are the phases. One that another calls is taken out of the other's time."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense")
KERNELS = 12


class Phases:
    """The time between changes of phase, while ``on``."""

    def __init__(self) -> None:
        self.on = False
        self._stack = [BETWEEN]
        self._marks: list[tuple[str, float, Any]] = []

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Within it the phase is ``name``, unless another begins."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def begin(self, name: str) -> None:
        self._stack.append(name)
        self.mark()

    def end(self) -> None:
        self._stack.pop()
        self.mark()

    def mark(self) -> None:
        """From here on the time is that of the phase on top."""
        if not self.on:
            return
        event = None
        if torch.cuda.is_available():
            event = torch.cuda.Event(enable_timing=True)
            event.record()
        self._marks.append((self._stack[-1], time.perf_counter(), event))

    def seconds(self) -> dict[str, float]:
        """Seconds by phase, over all that was timed."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found: defaultdict[str, float] = defaultdict(float)
        for (name, began, start), (_, ended, stop) in pairwise(self._marks):
            found[name] += ended - began if start is None else start.elapsed_time(stop) / 1000
        return dict(found)

    def call(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` as the phase ``name``."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.phase(name):
                return function(*args, **kwargs)

        return timed

    def watch(self, module: torch.nn.Module, name: str) -> None:
        """The forward of ``module`` as the phase ``name``."""
        module.register_forward_pre_hook(lambda *_: self.begin(name))
        module.register_forward_hook(lambda *_: self.end(), always_call=True)


class Watching:
    """A recorder that starts and ends the timing and the profiler at the ends of steps."""

    def __init__(self, phases: Phases, cuda: bool) -> None:
        self._phases, kinds = phases, torch.profiler.ProfilerActivity
        self.profiler = torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA] if cuda else [kinds.CPU])

    def log_step(self, step: int, _: Any) -> None:
        if step == WARM:
            self._phases.on = True
            self._phases.mark()
        elif step == WARM + TIMED:
            self._phases.mark()
            self._phases.on = False
            self.profiler.start()
        elif step == WARM + TIMED + 1:
            self.profiler.stop()

    def log_gaps(self, *_: Any) -> None: ...

    def log_hardness(self, *_: Any) -> None: ...

    def log_info(self, *_: Any) -> None: ...


@contextlib.contextmanager
def patched(phases: Phases) -> Iterator[None]:
    """The functions of CALLS, the vision tower and the language model report to ``phases``."""
    from aligners.training import pipeline
    from aligners.training.lora import language_model, make_trainable
    from harness.models.families import family_of

    def watched(model: Any, config: Any) -> Any:
        for path in family_of(model.config).tower:
            phases.watch(model.get_submodule(f"model.{path}"), "vision tower")
        phases.watch(model.get_submodule(language_model(model)), "language model")
        return make_trainable(model, config)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(pipeline, "make_trainable", watched))
        for name, (module, path) in CALLS.items():
            owner: Any = importlib.import_module(module)
            *outer, last = path.split(".")
            owner = functools.reduce(getattr, outer, owner)
            stack.enter_context(mock.patch.object(owner, last, phases.call(name, getattr(owner, last))))
        yield


def by_phase(phases: Phases) -> tuple[list[Row], float]:
    """A row a phase, and the milliseconds of a step."""
    found = {name: 1000 * seconds / TIMED for name, seconds in phases.seconds().items()}
    total = sum(found.values())
    rows: list[Row] = [{"what": f"a step of {PAIRS} pairs", "ms a step": total, "share": "100 %"}]
    for name, spent in sorted(found.items(), key=lambda each: -each[1]):
        rows.append({"what": name, "ms a step": spent, "share": f"{spent / total:.1%}"})
    return rows, total


def by_kernel(profiler: Any, step: float, cuda: bool) -> list[Row]:
    """The kernels (on a CPU the operations) that take most of a step of ``step`` milliseconds, and the host's waits."""
    events = list(profiler.key_averages())
    if cuda:
        spent = {e.key: (e.self_device_time_total / 1000, e.count) for e in events if e.device_type.name == "CUDA"}
    else:
        spent = {e.key: (e.self_cpu_time_total / 1000, e.count) for e in events}
    total = sum(ms for ms, _ in spent.values())
    rows: list[Row] = [{"what": "all kernels" if cuda else "all operations", "ms a step": total}]
    if cuda:
        rows[0]["share"] = f"{total / step:.1%}"
        rows.append({"what": "device without work", "ms a step": step - total, "share": f"{1 - total / step:.1%}"})
    for name, (ms, count) in sorted(spent.items(), key=lambda each: -each[1][0])[:KERNELS]:
        rows.append({"what": f"`{name[:90]}`", "ms a step": ms, "share": f"{ms / total:.1%}", "times": count})
    counts = {e.key: e.count for e in events}
    rows += [{"what": f"host waits: {name}", "times": counts[name]} for name in WAITS if name in counts]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()

    import harness  # noqa: F401  (makes torchvision importable)
    from aligners.objective import ALIGNERS
    from aligners.training.config import AlignConfig
    from aligners.training.pipeline import align

    folder = world(options.work, "toy" if options.toy else "7b")
    config = AlignConfig(
        model=str(folder / "model"),
        data=str(folder / "train.jsonl"),
        batch_size=PAIRS,
        micro_batch=PAIRS,
        epochs=2,
        limit=PAIRS * (WARM + TIMED + 2) // 2,
        lora_rank=16,
        checkpoint_every=0,
        probe_every=0,
    )
    phases, cuda = Phases(), torch.cuda.is_available()
    watching = Watching(phases, cuda)
    with patched(phases):
        align(config, ALIGNERS.get("dpo")(), watching, options.work / "profiled", hardness=None, resume=False)
    rows, step = by_phase(phases)
    write_rows(options.out, rows)
    write_rows(options.out, [*rows, *by_kernel(watching.profiler, step, cuda)])


if __name__ == "__main__":
    main()
