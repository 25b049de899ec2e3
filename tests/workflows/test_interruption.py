"""Runs that are stopped say what is kept; runs whose process is gone are not running."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli
from harness.errors import HarnessError, Interrupted, UsageError
from harness.protocols.progress import silent
from harness.store import Store
from harness.store.claims import ALIGNMENT
from tests.tiny import tiny_llava, tiny_pairs
from workflows.align import resolve_alignment, under_way
from workflows.interruption import kept_answers

SPEC = resolve_alignment(
    {"name": "x", "method": "dpo", "model": "org/m", "data": "d.jsonl", "checkpoint_every": 2}, silent
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    return Store(tmp_path / "r.sqlite")


def test_a_run_is_running_while_its_process_holds_it_and_no_longer(store: Store, tmp_path: Path) -> None:
    with under_way(store, SPEC, tmp_path, fresh=False):
        assert store.alignment("x").status == "running"
        second = under_way(store, SPEC, tmp_path, fresh=False)
        with pytest.raises(UsageError, match=rf"x is being aligned by process {os.getpid()} on .*another --name"):
            second.__enter__()
    assert store.alignment("x").status == "interrupted", "it ended without closing its record, as a killed one does"
    assert store.db.execute("SELECT status FROM alignment").fetchone() == ("running",), "which is read, not written"


@pytest.mark.parametrize(("until", "status"), [(60.0, "running"), (-1.0, "interrupted")])
def test_a_run_of_another_host_is_running_until_its_lease_ends(store: Store, until: float, status: str) -> None:
    store.start_alignment("x", method="dpo", seed=0, panel="", key="k", config={})
    with sqlite3.connect(store.path) as db:
        db.execute("INSERT INTO claim VALUES (?, 'x', 'o', 'elsewhere', 1, ?)", [ALIGNMENT, time.time() + until])
    assert store.alignment("x").status == status


def test_a_run_that_failed_or_was_stopped_is_running_when_it_goes_on(store: Store, tmp_path: Path) -> None:
    for stop, status in ((HarnessError("no"), "failed"), (KeyboardInterrupt(), "interrupted")):
        with pytest.raises(type(stop)), under_way(store, SPEC, tmp_path, fresh=False):
            raise stop
        assert store.alignment("x").status == status
    with under_way(store, SPEC, tmp_path, fresh=False):
        assert store.alignment("x").status == "running"


def test_an_interruption_names_the_step_and_that_there_is_no_checkpoint(store: Store, tmp_path: Path) -> None:
    expected = (
        r"x: interrupted after step 1\. There is no checkpoint yet \(one is saved every 2 steps\): it starts over"
    )
    with pytest.raises(Interrupted, match=expected), under_way(store, SPEC, tmp_path, fresh=False) as log:
        log.log_step(1, {"loss": 0.7})
        raise KeyboardInterrupt


def test_interrupted_answers_say_how_far_they_came_and_where_they_are(store: Store) -> None:
    seen = []
    kept = kept_answers(store, lambda step, done, total, note="": seen.append((step, done, total)))
    expected = r"Stopped at answers: 12 of 300\. .* kept in .*r\.sqlite"
    with pytest.raises(Interrupted, match=expected) as stopped, kept as progress:
        progress("answers", 12, 300)
        raise Interrupted(exit_code=143)
    assert seen == [("answers", 12, 300)] and stopped.value.exit_code == 143


def test_a_terminated_alignment_names_its_checkpoint_and_the_command_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, model, data = tmp_path / "r.sqlite", tiny_llava(tmp_path / "model"), tiny_pairs(tmp_path, count=8)
    settings = [word for pair in ("epochs=10000", "checkpoint_every=3", "batch_size=4") for word in ("--set", pair)]
    words = ["align", "--method", "dpo", "--model", str(model), "--data", str(data), "--db", str(db), *settings]
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "argv", ["cli.py", *words, "--fresh"])
    seen: list[str] = []

    def terminate() -> None:
        while not list(tmp_path.glob("home/aligned/*/checkpoint-*/objective_state.json")):
            time.sleep(0.02)
        seen.append(Store(db).alignment("dpo-s0").status)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, cli.terminated)
    thread = threading.Thread(target=terminate, daemon=True)
    thread.start()
    try:
        done = CliRunner().invoke(cli.cli, sys.argv[1:])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (done.exit_code, seen) == (128 + signal.SIGTERM, ["running"])
    *_, kept, again = done.stderr.splitlines()
    checkpoint = max(tmp_path.glob("home/aligned/*/checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    assert kept.startswith("Interrupted dpo-s0: interrupted after step ")
    assert kept.endswith(f" Kept: {checkpoint}, from which it resumes.")
    assert again == f"Resume with: python cli.py {' '.join(words)}"
    assert Store(db).alignment("dpo-s0").status == "interrupted"
