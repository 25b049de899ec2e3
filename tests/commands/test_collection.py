"""The commands as a collection: every module of commands/ is one, help is immediate."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time

import click

from cli import COMMANDS
from tests.house import ROOT

SHARED = {"evaluations", "options", "screen"}


def test_every_module_of_commands_holds_its_command() -> None:
    modules = {file.stem for file in (ROOT / "commands").glob("*.py")} - {"__init__", *SHARED}
    assert modules == {name.replace("-", "_") for name in COMMANDS}
    for name in COMMANDS:
        command = importlib.import_module(f"commands.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command) and command.name == name and command.help


def test_help_loads_nothing_heavy_and_is_immediate() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from cli import cli;"
        "assert 'objective' in CliRunner().invoke(cli, ['--help']).output;"
        "heavy = {'torch', 'transformers', 'numpy', 'sqlite_utils', 'yaml', 'matplotlib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - started)
        assert done.returncode == 0, done.stderr
    assert min(seconds) < 2.0
