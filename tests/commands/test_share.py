"""Processes that share a benchmark on one results file, one of them killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.commands.test_bench_openai import Endpoint, bench, data, endpoint  # noqa: F401  (fixtures)
from tests.house import ROOT


def start(endpoint: Endpoint, data: Path, db: Path, **variables: str) -> subprocess.Popen[str]:  # noqa: F811
    words = ["bench", "--benchmark", "pope", "--model", f"openai:llava@{endpoint.url}", "--data-dir", str(data)]
    options = ["--set", "model.concurrency=1", "--share", "--json", "--db", str(db)]
    return subprocess.Popen(
        [sys.executable, "cli.py", *words, *options],
        cwd=ROOT,
        env={**os.environ, "OPENAI_API_KEY": "none", **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def result(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)[0] if out.strip() else None


def more_images(data: Path, images: int = 8) -> None:  # noqa: F811
    """Each image of the fixture's data under further names, with its questions."""
    file = data / "coco_pope_random.json"
    rows = [json.loads(line) for line in file.read_text().splitlines()][:6]
    picture = (data / "val2014/0.png").read_bytes()
    found = []
    for i in range(images):
        (data / f"val2014/{i}.png").write_bytes(picture + bytes([i]))  # another content, the same picture
        found += [{**row, "question_id": 6 * i + q, "image": f"{i}.png"} for q, row in enumerate(rows)]
    file.write_text("".join(json.dumps(row) + "\n" for row in found))


def test_a_killed_worker_leaves_no_hole_and_the_table_is_the_undisturbed_one(
    endpoint: Endpoint,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    more_images(data)
    _, undisturbed = bench(endpoint, data, tmp_path / "alone.sqlite")
    endpoint.calls.clear()

    def slow(number: int, call: dict[str, Any]) -> int:
        time.sleep(0.1)
        return 200

    endpoint.fault = slow
    first, second = (start(endpoint, data, tmp_path / "shared.sqlite") for _ in range(2))
    deadline = time.monotonic() + 60
    while len(endpoint.calls) < 12 and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    found = result(second)
    assert found["metrics"] == undisturbed["metrics"] and found["n_scored"] == 48
    asked = Counter(json.dumps(call["messages"]) for call in endpoint.calls)
    assert len(asked) == 48 and sum(asked.values()) <= 48 + 6, "only what the killed one was at is asked again"


def test_of_torchruns_processes_the_first_alone_scores(
    endpoint: Endpoint,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    more_images(data, 4)
    db = tmp_path / "r.sqlite"
    rank_and_world_size = [start(endpoint, data, db, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    first, second = (result(process) for process in rank_and_world_size)
    assert first["n_scored"] == 24 and second is None
    assert len(endpoint.calls) == 24
