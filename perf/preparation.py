"""Seconds of what is done before the first step, by one process and by several: pairs, hardness, reference.

Every count of processes is a run of its own over gloo with empty caches. ``CPU`` is the processor time of the busiest
process: what the stage takes where each process has a core of its own, also where this machine has fewer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKER = """
import json, sys, time
from pathlib import Path
import torch
from accelerate import PartialState
from aligners.pair_hardness.hardness import HardnessConfig, compute_hardness
from aligners.pairs.data import load_pairs
from aligners.pairs.encodable import encodable
from aligners.pairs.encoding import Encoder
from aligners.pairs.reference import ReferenceModel
from harness.models.loading import load

model, data, clip, limit, out = sys.argv[1:]
state = PartialState(cpu=True)
cpu = torch.device("cpu")
loaded = load(model, device=cpu, named=model)
encoder = Encoder(loaded.prompts, 2048)
seconds = {}

def timed(name, work):
    state.wait_for_everyone()
    wall, used = time.monotonic(), time.process_time()
    made = work()
    used = time.process_time() - used
    state.wait_for_everyone()
    seconds[name] = [time.monotonic() - wall, used]
    return made

pairs = timed("pairs", lambda: encodable(load_pairs(data, int(limit) or None), encoder)).pairs
timed("hardness", lambda: compute_hardness(pairs, HardnessConfig(clip=clip), cpu))
timed("reference", lambda: ReferenceModel(
    loaded.model, encoder, route="shared", dtype="float32", device=cpu, micro_batch=8).logprobs(pairs))
Path(f"{out}.{state.process_index}").write_text(json.dumps(seconds))
"""


def measure(processes: int, arguments: list[str], root: Path) -> dict[str, tuple[float, float]]:
    """Seconds of each stage, and of it the processor's in the busiest process, with the code in ``root``."""
    with tempfile.TemporaryDirectory() as folder:
        script, out = Path(folder) / "worker.py", Path(folder) / "seconds"
        script.write_text(WORKER)
        environment = {**os.environ, "PYTHONPATH": str(root), "DAMA_HOME": folder, "OMP_NUM_THREADS": "1"}
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        subprocess.run([*launch, str(script), *arguments, str(out)], env=environment, check=True)
        found = [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(processes)]
    return {stage: (found[0][stage][0], max(each[stage][1] for each in found)) for stage in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="a directory")
    parser.add_argument("--data", required=True, help="preference pairs")
    parser.add_argument("--clip", required=True, help="as in --set clip")
    parser.add_argument("--limit", type=int, default=0, help="pairs; 0: all")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout of this project")
    options = parser.parse_args()
    for processes in options.processes:
        arguments = [options.model, options.data, options.clip, str(options.limit)]
        for stage, (wall, used) in measure(processes, arguments, options.root).items():
            print(f"{processes} processes, {stage}: {wall:.1f} s, CPU {used:.1f} s", flush=True)


if __name__ == "__main__":
    main()
