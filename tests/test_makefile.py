"""The Makefile: an environment that cannot be used is made anew, and `make clean` deletes no results."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT

NEEDED = (3, 11)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, what it depends on, and an environment that is up to date."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    (tmp_path / ".venv/pyvenv.cfg").write_text(f"command = {sys.executable} -m venv {(tmp_path / '.venv').resolve()}\n")
    (tmp_path / ".venv/.core").touch()
    return tmp_path


def make(folder: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout


def test_an_environment_that_can_be_used_stays(checkout: Path) -> None:
    assert "rm -rf .venv" not in make(checkout, "-n", "demo")


@pytest.mark.parametrize(
    ("python", "made_in", "why"),
    [
        ("/nowhere/python", None, "does not run or is older than 3.11"),
        ("old", None, "does not run or is older than 3.11"),
        (sys.executable, "/elsewhere/.venv", "it was made in /elsewhere/.venv"),
    ],
)
def test_a_stale_environment_is_made_anew(checkout: Path, python: str, made_in: str | None, why: str) -> None:
    old = checkout / "old-python"
    old.write_text("#!/bin/sh\necho '3.10 False'\n")
    old.chmod(0o755)
    (checkout / ".venv/bin/python").unlink()
    (checkout / ".venv/bin/python").symlink_to(old if python == "old" else python)
    if made_in:
        (checkout / ".venv/pyvenv.cfg").write_text(f"command = python -m venv {made_in}\n")
    shown = make(checkout, "-n", "install")
    assert why in shown and "rm -rf .venv" in shown


def test_an_environment_of_another_python_than_the_one_named_is_made_anew(checkout: Path) -> None:
    other = checkout / "python9.9"
    other.write_text("#!/bin/sh\necho '9.9 True'\n")
    other.chmod(0o755)
    assert f"its Python is not {other}" in make(checkout, "-n", "install", f"PYTHON={other}")
    assert "rm -rf" not in make(checkout, "-n", "install", f"PYTHON={sys.executable}")


def test_clean_deletes_no_results_and_distclean_says_what_it_would_delete(checkout: Path) -> None:
    (checkout / "results.sqlite").write_text("figures")
    (checkout / "artifacts").mkdir()
    (checkout / ".mypy_cache").mkdir()
    make(checkout, "clean")
    shown = make(checkout, "distclean")
    assert "results.sqlite" in shown and "artifacts" in shown and "make distclean SURE=yes" in shown
    assert not (checkout / ".mypy_cache").exists() and (checkout / "results.sqlite").exists()
    make(checkout, "distclean", "SURE=yes")
    assert not (checkout / "results.sqlite").exists() and not (checkout / ".venv").exists()


def test_every_place_names_the_same_python() -> None:
    wanted = ".".join(map(str, NEEDED))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'requires-python = ">={wanted}"' in project
    assert f"if sys.version_info < ({NEEDED[0]}, {NEEDED[1]}):" in (ROOT / "cli.py").read_text(encoding="utf-8")
    for page in ("README.md", "CONTRIBUTING.md"):
        assert re.findall(r"Python (\d\.\d+) or newer", (ROOT / page).read_text(encoding="utf-8")) == [wanted]


def test_an_older_python_is_told_which_one_is_needed() -> None:
    """What it reads is parsed by its own grammar; the version is set, since an older Python may not be at hand."""
    text = (ROOT / "cli.py").read_text(encoding="utf-8")
    ast.parse(text, feature_version=(3, 8))
    code = "import runpy, sys; sys.version_info = (3, 10, 13); runpy.run_path('cli.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "needs Python 3.11 or newer; this is" in done.stderr
