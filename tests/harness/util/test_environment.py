from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.util import environment as module
from harness.util.environment import environment

ROOT = Path(__file__).parents[3]


def test_python_and_libraries_are_told() -> None:
    found = environment()
    assert found["python"] == platform.python_version()
    assert found["torch"] == version("torch")


def test_a_library_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIBRARIES", ("torch", "no-such-library"))
    environment.cache_clear()
    found = environment()
    environment.cache_clear()
    assert "torch" in found and "no-such-library" not in found


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="no checkout, or no git")
def test_the_commit_is_that_of_this_checkout() -> None:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert head.startswith(environment()["commit"].removesuffix("-dirty"))


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_another_projects_commit_is_not_taken_for_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "theirs")
    installed = tmp_path / "lib" / "harness" / "util" / "environment.py"
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(module, "__file__", str(installed))
    assert module._commit() == ""
    monkeypatch.setattr(module, "__file__", str(tmp_path / "harness" / "util" / "environment.py"))
    assert module._commit() != ""
