"""Judging that is killed and started again, in processes of their own, against an endpoint on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.harness.fault_server import Fault, FaultServer, http
from tests.house import ROOT

N = 60
FIELDS = {"question_topic": "x", "image_src": "", "image_content": ["Dog"], "gt_answer": "A dog.", "model_answer": ""}


def write_data(folder: Path) -> None:
    kinds = ("attribute", "relation")
    rows = [
        {**FIELDS, "question_type": kinds[i % 2], "image_id": str(i), "question": f"Question {i}?"} for i in range(N)
    ]
    (folder / "mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    lines = [json.dumps({"id": i, "response": f"It is answer {i}."}) + "\n" for i in range(N)]
    (folder / "answers.jsonl").write_text("".join(lines))


def number_of(prompt: str) -> int:
    return int(prompt.split("It is answer ")[1].split(".", maxsplit=1)[0])


def play(prompt: str, nth: int) -> str | Fault:
    """Most replies are ratings, every tenth is unreadable at first, and some fail before they come."""
    number = number_of(prompt)
    if number % 7 == 3 and nth == 0:
        return http(500)
    if number % 10 == 5:
        return f"I cannot say anything of {number}."
    return f"It says little of {number}.\nRating: {number % 7}"


def attempts(number: int) -> int:
    """Replies that an answer takes: an unreadable one is asked for once more."""
    return 2 if number % 10 == 5 else 1


def command(folder: Path, db: str, url: str) -> list[str]:
    settings = ["--set", "judge.concurrency=4", "--set", "judge.first_wait=0.01"]
    files = ["--responses", str(folder / "answers.jsonl"), "--data-dir", str(folder), "--db", str(folder / db)]
    judge = ["--judge", f"openai:judge@{url}"]
    return [sys.executable, "cli.py", "score", "--benchmark", "mmhal", *files, *judge, *settings, "--json"]


def finished(words: list[str]) -> dict[str, Any]:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr  # six answers have no readable verdict
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def killed_after(words: list[str], server: FaultServer, calls: int) -> None:
    """Start, and kill -9 once the server was asked ``calls`` times more."""
    before = len(server.calls)
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.calls) < before + calls and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def stored(db: Path) -> Counter[int]:
    """How many replies about each answer the file holds."""
    with contextlib.closing(sqlite3.connect(db)) as connection:
        texts = connection.execute("SELECT text FROM reply WHERE text IS NOT NULL").fetchall()
    return Counter(int(text.split(" of ")[1].split(".")[0]) for (text,) in texts)


def test_judging_killed_twice_ends_in_the_undisturbed_table_and_asks_nothing_stored_again(tmp_path: Path) -> None:
    write_data(tmp_path)
    db = tmp_path / "killed.sqlite"
    with FaultServer(play, latency=0.02) as server:
        undisturbed = finished(command(tmp_path, "whole.sqlite", server.url))
        assert (undisturbed["n_scored"], undisturbed["n_failed"]) == (N - 6, 6)
        server.seen.clear()

        words = command(tmp_path, db.name, server.url)
        kept: Counter[int] = Counter()
        for _ in range(2):
            killed_after(words, server, N // 3)
            assert kept < stored(db), "what was stored stays, and more came"
            kept = stored(db)
        before = Counter(server.seen)
        assert finished(words) == undisturbed
        again, faults = Counter[int](), Counter[int]()
        for prompt, count in server.seen.items():  # what is asked once more is asked in other words
            again[number_of(prompt)] += count - before[prompt]
            faults[number_of(prompt)] += number_of(prompt) % 7 == 3 and not before[prompt]  # the first call fails
        for number in range(N):
            assert again[number] == attempts(number) - kept[number] + faults[number], number
        assert stored(db) == Counter({number: attempts(number) for number in range(N)})

        calls = len(server.calls)
        assert finished(words) == undisturbed
        assert len(server.calls) == calls, "scoring twice makes no second call"
