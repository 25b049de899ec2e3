"""The shape of the project: everything imports, arrows run one way, the command line starts fast."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("harness", "aligners", "benchmarks", "leaderboards", "tinyworld", "workflows", "commands")
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for room in ROOMS
    for file in (ROOT / room).rglob("*.py")
    if file.stem != "__init__"
)
MAY_IMPORT = {
    "harness": {"harness"},
    "aligners": {"aligners", "harness"},
    "benchmarks": {"benchmarks", "harness"},
    "leaderboards": {"leaderboards", "harness"},
    "tinyworld": {"tinyworld", "aligners", "harness"},
    "workflows": set(ROOMS) - {"commands"},
    "commands": set(ROOMS),
}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_imports(module: str) -> None:
    importlib.import_module(module)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_run_one_way(module: str) -> None:
    room = module.partition(".")[0]
    tree = ast.parse((ROOT / (module.replace(".", "/") + ".py")).read_text())
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported & {*ROOMS, "cli"} <= MAY_IMPORT[room]


def test_help_does_not_import_torch() -> None:
    code = "import sys, cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
