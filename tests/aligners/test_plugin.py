"""An aligner of another package, added by entry point: the one of examples/plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HINGE = (ROOT / "examples/plugins/hinge.py").read_text(encoding="utf-8")


def test_an_aligner_of_another_package_is_listed_and_computes(tmp_path: Path) -> None:
    (tmp_path / "other_package.py").write_text(HINGE)
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[dama_harness.aligners]\nhinge = other_package:Hinge\nbroken = other_package:Absent\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "cli.py"), *words, "--json"]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)

    listed = run("list", "aligners")
    assert "'broken' of other_package:Absent is left out" in listed.stderr
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["hinge"]["formula"] == "max(0, margin - beta h)" and "broken" not in rows
    assert rows["mdpo"]["needs"] == "corrupted:crop, reference"
    zero = {"policy_chosen": [3.0], "policy_rejected": [1.0], "ref_chosen": [0.0], "ref_rejected": [0.0]}
    (tmp_path / "step.json").write_text(json.dumps(zero))
    found = run("objective", "--method", "hinge", "--input", str(tmp_path / "step.json"), "--set", "margin=2")
    assert json.loads(found.stdout)["loss"] == 2 - 0.1 * 2
