"""Steps of training at real shapes, engine against engine, by perf/align_step.py's worker: speed and memory.

Each engine is a process of its own. One that runs out of memory is tried again with half the micro-batch, which
changes no result; that is said in its row.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu.parts import ROOT, Row, write_rows

PAIRS = 4
"""Pairs of a step, and of a micro-batch until memory runs out."""
OUT_OF_MEMORY = ("out of memory", "OutOfMemoryError", "CUBLAS_STATUS_ALLOC_FAILED")
NAMES = {
    "trl": "TRL's DPOTrainer",
    "plain": "this project, plain rows: the image twice a pair",
    "dpo": "this project, dpo: one pass",
    "gap": "this project, gap: two passes",
}


def engines() -> list[str]:
    """What is compared; the first is what the others are measured against."""
    there = all(importlib.util.find_spec(name) for name in ("trl", "datasets"))
    return ["trl" if there else "plain", "dpo", "gap"]


def world(work: Path, shapes: str) -> Path:
    """The folder of a made model of ``shapes`` and its pairs, made once for all parts, in a process of its own."""
    folder = work / f"world-{shapes}"
    if not (folder / "train.jsonl").exists():
        folder.mkdir(parents=True, exist_ok=True)
        script = "import sys; from pathlib import Path; import harness; from align_world import make_world; "
        script += "make_world(Path(sys.argv[1]), 16, sys.argv[2])"
        subprocess.run([sys.executable, "-c", script, str(folder), shapes], check=True)
    return folder


def measured(engine: str, kind: str, folder: Path, until: float, steps: int) -> Row:
    """A row of ``engine``: what its worker measured, with as much of a step at a time as fits into memory."""
    micro, notes = PAIRS // (2 if engine == "gap" else 1), list[str]()
    row: Row = {"training": kind, "engine": NAMES[engine]}
    while True:
        code, output = worker(engine, kind, folder, until, steps, micro)
        if code == 0:
            found = json.loads(output.splitlines()[-1])
            return row | figures(found, micro) | {"note": "; ".join(notes)}
        if code == 124:
            return row | {"note": "; ".join([*notes, "not done in time"])}
        if not any(sign in output for sign in OUT_OF_MEMORY):
            return row | {"note": "; ".join([*notes, f"failed: {last_line(output)}"])}
        notes.append(f"out of memory with a micro-batch of {micro}")
        if micro == 1:
            return row | {"note": "; ".join(notes)}
        micro //= 2


def worker(engine: str, kind: str, folder: Path, until: float, steps: int, micro: int) -> tuple[int, str]:
    """Exit code (124: not in time) and output of a run of perf/align_step.py's worker."""
    command = [sys.executable, str(ROOT / "perf/align_step.py"), "--worker", engine, kind, str(folder)]
    command += ["--steps", str(steps), "--pairs", str(PAIRS), "--micro-batch", str(micro)]
    environment = {**os.environ, "DAMA_HOME": str(folder / "home")}
    left = until - time.monotonic()
    if left < 5:
        return 124, ""
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=left)
    except subprocess.TimeoutExpired:
        return 124, ""
    for made in folder.glob("out-*"):  # models of gigabytes
        shutil.rmtree(made)
    print(f"---- {engine}, {kind}, micro-batch {micro}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", flush=True)
    return done.returncode, done.stdout if done.returncode == 0 else done.stderr


def figures(found: dict[str, float], micro: int) -> Row:
    """What a worker measured, as columns of the table."""
    return {
        "pairs/s": PAIRS / found["step"],
        "pairs/s by the wall": PAIRS / found["wall"],
        "peak MB": found["memory"],
        "once before, s": found["once"],
        "micro-batch": micro,
    }


def compared(rows: Sequence[Row]) -> list[Row]:
    """``rows`` with how many times the first one's pairs a second each has, where both have any; the notes last."""
    first = rows[0].get("pairs/s") if rows else None
    found = []
    for row in rows:
        ratio = {"against the first": row["pairs/s"] / first} if first and "pairs/s" in row else {}
        found.append({**{name: value for name, value in row.items() if name != "note"}, **ratio, "note": row["note"]})
    return found


def last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("lora", "full"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=170)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    folder = world(options.work, "toy" if options.toy else {"lora": "7b", "full": "1b"}[options.kind])
    rows: list[Row] = []
    for engine in engines():
        rows.append(measured(engine, options.kind, folder, until, steps=1 if options.toy else 3))
        write_rows(options.out, compared(rows))
    failed: list[Any] = [row["note"] for row in rows if "pairs/s" not in row]
    if failed:
        sys.exit(f"{len(failed)} of {len(rows)} engines were not measured: {failed[0]}")


if __name__ == "__main__":
    main()
