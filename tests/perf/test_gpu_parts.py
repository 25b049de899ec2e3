"""perf/gpu.sh: no part ends the script, whatever comes of it, and what was found is written all the same."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from gpu import report, steps
from gpu.__main__ import parts, rows_of_tests
from gpu.parts import Outcome, Part, Row, missing, run

from tests.house import ROOT

FOUND = "import json, pathlib, sys; pathlib.Path(sys.argv[1]).write_text(json.dumps([{'what': 'a', 'ms': 1.5}])); "


def outcome_of(folder: Path, code: str, *, seconds: float = 60, needs: Sequence[str] = ()) -> Outcome:
    return run(Part("tried", "A part", ["-c", code, "{out}"], seconds, needs), folder, left=100)[0]


def test_a_part_that_fails_is_named_with_what_it_found_before(tmp_path: Path) -> None:
    done = outcome_of(tmp_path, FOUND)
    assert (done.status, done.rows) == ("done", [{"what": "a", "ms": 1.5}])
    failed = outcome_of(tmp_path, FOUND + "raise RuntimeError('CUDA error: an illegal memory access')")
    assert (failed.status, failed.rows) == ("failed", done.rows)
    assert failed.why == "exit code 1: RuntimeError: CUDA error: an illegal memory access"
    killed = outcome_of(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert (killed.status, killed.why) == ("failed", "exit code -9: no output")


def test_a_part_that_takes_too_long_is_ended_with_the_processes_it_started(tmp_path: Path) -> None:
    late = tmp_path / "late"
    child = f"import time, pathlib; time.sleep(4); pathlib.Path({str(late)!r}).touch()"
    code = FOUND + f"import subprocess, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    outcome = outcome_of(tmp_path, code, seconds=1)
    assert (outcome.status, outcome.why) == ("timeout", "ended after 1 s")
    time.sleep(4)
    assert not late.exists()


def test_a_part_without_its_packages_or_its_time_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = outcome_of(tmp_path, FOUND, needs=["no-such-package"])
    assert (skipped.status, skipped.why) == ("skipped", "no-such-package is not here: give its wheel (--wheels)")
    late = run(Part("late", "Late", ["-c", FOUND, "{out}"], 60), tmp_path, left=10)[0]
    assert (late.status, late.why) == ("skipped", "no time was left")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "5.17.0")
    assert missing(["transformers"]) == (
        "transformers 5.17.0 is here, <6,>=5.23 is needed: give its wheel (--wheels)"
    ), "as pyproject.toml says"


def test_the_parts_fit_into_eight_minutes_and_what_matters_comes_first() -> None:
    made = parts(toy=False)
    assert [part.name for part in made] == ["environment", "lora", "tests", "profile", "full", "generate"]
    script = (ROOT / "perf/gpu.sh").read_text()
    assert ", ".join(part.name for part in made) in script, "the parts that --only takes"
    assert "(default 465)" in script


def test_the_results_are_a_json_file_and_a_page_of_tables(tmp_path: Path) -> None:
    rows: list[Row] = [{"what": "a|b", "ms": 1234.5}, {"what": "c", "share": "3 %"}]
    outcomes = [Outcome("one", "First", "done", rows=rows, seconds=2.0), Outcome("two", "Second", "timeout", "late")]
    facts = {"device": "a card", "date": "2026-11-26", "command": "perf/gpu.sh", "seconds": 61.0}
    report.write(tmp_path, outcomes, facts, {"one": "said", "two": ""})
    record = json.loads((tmp_path / "results.json").read_text())
    assert [part["status"] for part in record["parts"]] == ["done", "timeout"]
    page = (tmp_path / "results.md").read_text()
    assert "| a\\|b | 1,234 |  |" in page and "| Second | timeout | 0 | late |" in page
    assert (tmp_path / "log.txt").read_text() == "==== one\nsaid\n==== two\n\n"


def test_tests_are_counted_from_a_log_that_may_have_been_cut() -> None:
    log = (
        "tests/gpu/test_a.py::test_one[llava] PASSED [ 10%]\ntests/gpu/test_a.py::test_two FAILED [ 20%]\n"
        "tests/gpu/test_b.py::test_three SKIPPED (no deepspeed) [ 30%]\ntests/gpu/test_b.py::test_four "
    )
    assert rows_of_tests(log) == [
        {"file": "tests/gpu/test_a.py", "passed": 1, "failed": "test_two", "skipped": ""},
        {"file": "tests/gpu/test_b.py", "passed": 0, "failed": "", "skipped": "test_three"},
    ]


def test_an_engine_without_memory_is_tried_with_half_the_micro_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = json.dumps({"step": 2.0, "wall": 4.0, "memory": 70_000.0, "once": 1.0})
    tried: list[int] = []

    def worker(engine: str, kind: str, folder: Path, until: float, count: int, micro: int) -> tuple[int, str]:
        tried.append(micro)
        if engine == "trl":
            return 1, "torch.OutOfMemoryError: CUDA out of memory."
        return (0, f"noise\n{measured}") if micro < 4 else (1, "harness.errors.HarnessError: out of memory with 4")

    monkeypatch.setattr(steps, "worker", worker)
    rows = steps.compared([steps.measured(engine, "lora", Path(), 0, 3) for engine in ("trl", "dpo")])
    assert tried == [4, 2, 1, 4, 2]
    assert rows[0]["note"].endswith("out of memory with a micro-batch of 1") and "pairs/s" not in rows[0]
    assert (rows[1]["pairs/s"], rows[1]["micro-batch"]) == (2.0, 2)
    assert rows[1]["note"] == "out of memory with a micro-batch of 4"
    assert "against the first" not in rows[1], "there is nothing to compare with"


def test_every_phase_of_the_profile_is_a_function_that_there_is() -> None:
    from gpu.phases import CALLS

    for module, path in CALLS.values():
        assert callable(functools.reduce(getattr, path.split("."), importlib.import_module(module)))


@pytest.mark.cluster
def test_all_parts_run_on_a_cpu_at_toy_size(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    command = [str(ROOT / "perf/gpu.sh"), "--toy", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {part["name"]: part for part in json.loads((tmp_path / "out/results.json").read_text())["parts"]}
    assert [part["status"] for part in found.values()] == ["done"] * 6
    assert all(part["rows"] for part in found.values())
    assert all(row["pairs/s"] > 0 for row in found["lora"]["rows"] + found["full"]["rows"])
    phases = {row["what"]: row for row in found["profile"]["rows"]}
    assert {"vision tower", "language model", "backward", "optimiser"} <= phases.keys()
    assert not [name for name in os.listdir(tmp_path) if name.startswith("dama-gpu")], "its folder is removed"
