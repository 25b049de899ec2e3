"""Plug-ins of another package that print, exit or fail while they work: JSON stays JSON, and they are named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

PLUGIN = '''
import os, sys
from dataclasses import dataclass
from typing import ClassVar

from harness.judges.registry import Judge
from harness.protocols.benchmark import Benchmark, BenchmarkData, JudgePrompt, Metric, Sample, Verdict, ratio
from harness.protocols.judge import Reply
from leaderboards.formats.registry import Format

print("printed on import")
FAULT = os.environ.get("FAULT", "")


@dataclass(frozen=True, kw_only=True)
class Noisy(Benchmark):
    """Yes or no."""

    name: ClassVar[str] = "noisy"
    version: ClassVar[str] = "1"
    needs_judge: ClassVar[bool] = True

    def load(self, root):
        print("printed by load")
        if FAULT == "load fails":
            return {}["absent"]
        return BenchmarkData([Sample(str(i), f"Is there a dog {i}?") for i in range(4)], self.version)

    def judge_prompt(self, sample, answer, attempt):
        return JudgePrompt(f"{sample.prompt} {answer}")

    def verdict(self, sample, answer, replies):
        print("printed by verdict")
        return Verdict({"right": 1.0, "asked": 1.0})

    def metrics(self, samples):
        return [Metric("accuracy", ratio("right", "asked"), True)]


class NoisyJudge(Judge):
    """Says yes."""

    def __init__(self, argument, root):
        self.name = "noisy"

    def ask(self, requests):
        print("printed by ask")
        for position in range(len(requests)):
            if FAULT == "ask exits" and position == 2:
                sys.exit(0)
            yield position, Reply("yes", "m")


class NoisyFormat(Format):
    """Text."""

    name = "noisy"

    def render(self, view):
        print("printed by render")
        return "rendered"
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    (folder / "noisy_package.py").write_text(PLUGIN)
    (folder / "answers.jsonl").write_text("".join(f'{{"id": "{i}", "response": "Yes."}}\n' for i in range(4)))
    (folder / "data").mkdir()
    info = folder / "noisy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noisy\nVersion: 1.0\n")
    lines = [
        f"[dama_harness.{kind}s]\nnoisy = noisy_package:Noisy{end}\n"
        for kind, end in (("benchmark", ""), ("judge", "Judge"), ("format", "Format"))
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    return folder


def run(site: Path, db: Path, fault: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT)])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "FAULT": fault,
        "DAMA_HOME": str(db.parent),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(ROOT / "cli.py"), *words, "--db", str(db)]
    done = subprocess.run(command, env=environment, cwd=site, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done
    return done


SCORE = ("score", "--benchmark", "noisy", "--responses", "answers.jsonl", "--data-dir", "data", "--judge", "noisy")


def test_what_a_plug_in_prints_never_stands_among_the_results(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path / "r.sqlite", "", *SCORE, "--json")
    assert json.loads(done.stdout)["metrics"]["accuracy"]["value"] == 100
    for where in ("on import", "by load", "by ask", "by verdict"):
        assert f"printed {where}" in done.stderr
    shown = run(site, tmp_path / "r.sqlite", "", "leaderboard", "--format", "noisy")
    assert shown.stdout == "rendered" and "printed by render" in shown.stderr


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("ask exits", r"ended the program \(SystemExit: 0\)"),
        ("load fails", r"failed \(KeyError: 'absent'\)\. That is a fault of this plug-in"),
    ],
)
def test_a_plug_in_that_exits_or_fails_is_one_error_that_names_it(
    site: Path, tmp_path: Path, fault: str, said: str
) -> None:
    done = run(site, tmp_path / "r.sqlite", fault, *SCORE, "--json", code=1)
    named = r"Error The plug-in noisy_package \(benchmark 'noisy', judge 'noisy'\), line \d+, "
    assert re.search(named + said, done.stderr), done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
