"""``python -m tests.fuzz --inputs 1000000 --seed 0 [--only TARGET]``: one line a target; 1 where there was a fault.

``--number N`` feeds one input of the target of ``--only`` again, without catching what it raises.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.runner import all_targets, run
from tests.fuzz.target import Fault, Outcome

SHOWN = 3
"""Faults of a target that are shown in full."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], choices=[target.name for target in all_targets()])
    parser.add_argument("--number", type=int, help="feed this one input of the target of --only")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-faults")
    given = parser.parse_args()
    if given.number is not None:
        return again(given.only[0], given.seed, given.number)
    print(f"{'target':24}{'inputs':>10}{'accepted':>10}{'refused':>10}{'faults':>8}{'a second':>10}")
    counts = run(given.inputs, given.seed, given.only, show)
    for fault in counts.faults:
        save(given.out, fault)
    seconds = sum(outcome.seconds for outcome in counts.outcomes)
    print(f"{counts.inputs} inputs, {len(counts.faults)} faults, {counts.inputs / max(seconds, 1e-9):.0f} a second")
    if counts.faults:
        print(f"inputs of the faults: {given.out}")
    return int(bool(counts.faults))


def again(name: str, seed: int, number: int) -> int:
    """Feed one input; an error of it shows in full."""
    target = next(target for target in all_targets() if target.name == name)
    given = target.input(seed, number)
    print(repr(given)[:2000])
    target.feed(given)
    return 0


def show(outcome: Outcome) -> None:
    rate = outcome.inputs / max(outcome.seconds, 1e-9)
    numbers = (outcome.inputs, outcome.accepted, outcome.refused, len(outcome.faults))
    print(f"{outcome.target:24}{numbers[0]:10}{numbers[1]:10}{numbers[2]:10}{numbers[3]:8}{rate:10.0f}", flush=True)
    seen: set[str] = set()
    for fault in outcome.faults:
        kind = fault.what.strip().splitlines()[-1][:60]
        if kind not in seen and len(seen) < SHOWN:
            seen.add(kind)
            print(f"  input {fault.number}: {fault.given!r:.300}\n{fault.what[-900:]}", flush=True)


def save(folder: Path, fault: Fault) -> None:
    """The input, as it was given or as Python writes it, and what came of it."""
    folder.mkdir(parents=True, exist_ok=True)
    content = fault.given if isinstance(fault.given, bytes) else repr(fault.given).encode("utf-8", "surrogatepass")
    name = f"{fault.target.replace('/', '-')}-{fault.number}"
    (folder / f"{name}.input").write_bytes(content)
    (folder / f"{name}.txt").write_text(fault.what, errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
