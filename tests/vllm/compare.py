"""The same weights answer alike here and behind vLLM: 100 greedy answers of the embedded base model, both ways.

`make test-vllm` runs it. It serves the model on loopback with the vLLM of ``.venv-vllm``, asks both routes the same
questions of Object HalBench through the harness, and fails where fewer than 99 answers are equal.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dama
from harness.store import Store
from tinyworld.build import World, WorldConfig, build
from tinyworld.language import CHAT_TEMPLATE
from tinyworld.llava import as_on_the_hub

ROOT = Path(__file__).parents[2]
VLLM = ROOT / ".venv-vllm" / "bin" / "vllm"
ANSWERS, EQUAL = 100, 99
START = 900
"""Seconds that the server may take to start."""


def main() -> int:
    """Compare and print; the exit code is 1 where the routes differ."""
    started = time.time()
    say("the embedded world (minutes, where it is not there yet)")
    world = build(WorldConfig())
    with tempfile.TemporaryDirectory() as folder:
        base = as_saved_now(world, Path(folder) / "base")
        with served(base, Path(folder)) as url:
            say(f"vLLM answers at {url} after {time.time() - started:.0f} s")
            return compare(world, base, url, Path(folder) / "results.sqlite")


def as_saved_now(world: World, folder: Path) -> Path:
    """A copy of the base model as the present code saves it, whenever it was built."""
    shutil.copytree(world.model_dir, folder)
    as_on_the_hub(folder / "model.safetensors")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return folder


@contextlib.contextmanager
def served(base: Path, folder: Path) -> Iterator[str]:
    """The base URL of a vLLM that serves ``base`` until the end; its log, in ``folder``, is shown where it fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", str(base), "--served-model-name", "base", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--enforce-eager", "--dtype", "float32", "--max-model-len", "256"]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment.pop("OMP_NUM_THREADS", None)
    log = folder / "vllm.log"
    with log.open("w") as out, subprocess.Popen([VLLM, *words], stdout=out, stderr=out, env=environment) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers; raises SystemExit with the end of its log where it does not come up."""
    for _ in range(START):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        if server.poll() is not None:
            break
        time.sleep(1)
    raise SystemExit(f"vLLM did not start:\n{log.read_text()[-3000:]}")


def compare(world: World, base: Path, url: str, db: Path) -> int:
    """Ask both routes and print what they have in common; 0 where it is enough."""
    settings = {"decoding.num_beams": 1, "decoding.max_new_tokens": 64}
    models = {"hf": f"hf:{base}", "vLLM": f"openai:base@{url}"}
    for route, model in models.items():
        probed = {"model.processor": str(base)} if route == "vLLM" else {}  # its prompt is compared token by token
        dama.bench(
            model=model, benchmark="object_halbench", data_dir=world.bench_dir, judge="rule",
            limit=ANSWERS, settings=settings | probed, db=db,
        )  # fmt: skip
    store, answers = Store(db), {}
    for route, model in models.items():
        record = next(e for e in store.evaluations() if e.model.startswith(model.partition(":")[0]))
        answers[route] = {verdict.sample_id: verdict.answer for verdict in store.verdicts(record.id)}
        figures = {name: record.metrics[name]["value"] for name in ("chair_i", "recall", "mentions")}
        say(f"{route}: {record.info['route']}: {figures}; probe: {record.info['probe']['tokens']}")
    ours, theirs = answers["hf"], answers["vLLM"]
    for sample in sorted(ours, key=int)[:3]:
        say(f"  {sample}: {ours[sample]!r}")
    for sample in sorted(ours, key=int):
        if ours[sample] != theirs[sample]:
            say(f"  different, {sample}: hf {ours[sample]!r}, vLLM {theirs[sample]!r}")
    equal = sum(ours[sample] == theirs[sample] for sample in ours)
    say(f"hf = vLLM: {equal} of {len(ours)} greedy answers")
    return 0 if len(ours) == ANSWERS and equal >= EQUAL else 1


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
