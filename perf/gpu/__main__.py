"""Runs the parts one after the other and writes what they found after each; called by perf/gpu.sh."""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from gpu import report
from gpu.parts import ROOT, Outcome, Part, Row, run

TRAINING = ("torch", "transformers", "peft", "accelerate")
SLOW = 4
"""How many times longer the parts may take on a CPU, which may be shared."""
TESTED = re.compile(r"^(tests/\S+?)::(\S+) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)", re.MULTILINE)


def rows_of_tests(log: str) -> list[Row]:
    """The tests of a pytest -v ``log`` by file: how many passed, and the names of the others."""
    counts: dict[str, dict[str, list[str]]] = {}
    for file, name, how in TESTED.findall(log):
        counts.setdefault(file, {}).setdefault(how.lower(), []).append(name)
    return [
        {
            "file": file,
            "passed": len(found.get("passed", ())),
            "failed": ", ".join(found.get("failed", []) + found.get("error", [])),
            "skipped": ", ".join(found.get("skipped", ())),
        }
        for file, found in counts.items()
    ]


def parts(*, toy: bool) -> list[Part]:
    """All parts in the order in which they run; what matters most comes first."""
    flags = ["--toy"] if toy else []
    tests = ["-m", "pytest", "-v", "-rsfE", "--tb=short", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "gpu"]
    written = ["--out", "{out}", "--work", "{work}", "--seconds", "{seconds}", *flags]
    made = [
        Part("environment", "Environment", ["-m", "gpu.environment", *written], 60, ["torch"]),
        Part("lora", "LoRA at LLaVA-1.5-7B's shapes", ["-m", "gpu.steps", "lora", *written], 170, TRAINING),
        Part("tests", "Tests on the device", [*tests, "tests/gpu"], 130, [*TRAINING, "pytest"], rows_of_tests),
        Part("profile", "Where a step's time goes", ["-m", "gpu.phases", *written], 70, TRAINING),
        Part("full", "Full fine-tuning at 1.4B", ["-m", "gpu.steps", "full", *written], 110, TRAINING),
        Part("generate", "Generation at 7B", ["-m", "gpu.generation", *written], 80, TRAINING[:2]),
    ]
    return [dataclasses.replace(part, seconds=SLOW * part.seconds) for part in made] if toy else made


def device(*, toy: bool) -> str:
    """What is measured on, in words; "" without a GPU, unless with ``toy``."""
    import torch

    if torch.cuda.is_available() and not toy:
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}, Python {sys.version.split()[0]}"
    return f"CPU, toy shapes, torch {torch.__version__}, Python {sys.version.split()[0]}" if toy else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="perf/gpu.sh")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or ROOT / "perf/gpu-results"))
    parser.add_argument("--seconds", type=float, default=465.0, help="all together; with --toy four times that")
    parser.add_argument("--only", nargs="+", choices=[part.name for part in parts(toy=True)])
    parser.add_argument("--toy", action="store_true", default=os.environ.get("DAMA_TOY") == "1")
    parser.add_argument("--work", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    began = time.monotonic()
    if options.toy:
        os.environ.update(DAMA_TOY="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")
        options.seconds *= SLOW
    if not (where := device(toy=options.toy)):
        print("gpu.sh: torch sees no GPU here; --toy tries the script on a CPU.", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    logs: dict[str, str] = {}
    for part in (part for part in parts(toy=options.toy) if not options.only or part.name in options.only):
        print(f"{part.name}: at most {part.seconds:.0f} s ...", file=sys.stderr, flush=True)
        outcome, logs[part.name] = run(part, options.work, options.seconds - (time.monotonic() - began))
        outcomes.append(outcome)
        print(f"{part.name}: {outcome.status} {outcome.why}", file=sys.stderr, flush=True)
        facts = {
            "device": where,
            "date": datetime.now(UTC).isoformat(timespec="minutes"),
            "command": "perf/gpu.sh" + (" --toy" if options.toy else ""),
            "seconds": time.monotonic() - began,
        }
        report.write(options.out, outcomes, facts, logs)
    print((options.out / "results.md").read_text())
    return 0 if all(outcome.status == "done" for outcome in outcomes) else 3


if __name__ == "__main__":
    sys.exit(main())
