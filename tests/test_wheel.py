"""The wheel, built from what git knows and installed elsewhere, has all that the commands need."""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.leaderboards.fakes import example
from tests.tiny import tiny_llava, tiny_pairs

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; the libraries are this environment's, without its editable install."""
    top = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the wheel is built from what git knows, and this is no checkout")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (top / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, top / "source" / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(top), str(top / "source")]
    subprocess.run(build, check=True, capture_output=True)
    venv.create(top / "venv")
    (wheel,) = top.glob("*.whl")
    subprocess.run(
        [*pip, "--python", str(top / "venv"), "install", "-q", "--no-deps", str(wheel)], check=True, capture_output=True
    )
    (packages,) = (top / "venv" / "lib").glob("python*/site-packages")
    libraries = [folder for folder in site.getsitepackages() if Path(folder).is_dir()]
    (packages / "libraries.pth").write_text("\n".join(libraries) + "\n")  # their own .pth files are not read
    return top / "venv"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a program of the environment in an empty directory."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DAMA_HOME", "VIRTUAL_ENV")}

    def invoke(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / "bin" / program), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
        return done

    return invoke


def test_it_is_the_wheel_that_runs(run: Run, installed: Path) -> None:
    code = "import cli, dama, recipes, harness.store, tinyworld; print(cli.__file__, recipes.__file__, dama.__file__)"
    printed = run("python", "-c", code).stdout.split()
    assert len(printed) == 3 and all(str(installed) in file for file in printed)


def test_it_demonstrates_lists_and_knows_its_recipes(run: Run) -> None:
    assert "embedded world" in run("dama", "demo", "--help").stdout
    names = {row["name"] for row in json.loads(run("dama", "list", "aligners", "--json").stdout)}
    assert {"dpo", "dama"} <= names
    assert "rule" in {row["name"] for row in json.loads(run("dama", "list", "judges", "--json").stdout)}
    code = (
        "import recipes, yaml, dama\n"
        "from recipes import RECIPES\n"
        "assert all(yaml.safe_load(recipes.find_recipe(name).read_text()) for name in recipes.recipe_names())\n"
        "assert (RECIPES / 'deepspeed_zero2.json').is_file()\n"
        "print(dama.__version__)"
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", run("python", "-c", code).stdout.strip())


def test_it_plans_an_alignment_by_the_name_of_a_recipe(run: Run, tmp_path: Path) -> None:
    tiny_llava(tmp_path / "model")
    pairs = tiny_pairs(tmp_path / "pairs", count=4)
    words = ("--recipe", "llava15_7b_rlaifv", "--method", "dpo", "--model", "model", "--data", str(pairs))
    facts = json.loads(run("dama", "align", *words, "--dry-run", "--json").stdout)
    assert facts["method"] == "dpo" and facts["estimate"]


def test_it_draws_the_page(run: Run, tmp_path: Path) -> None:
    example(tmp_path).close()
    run("dama", "leaderboard", "--format", "html", "--out", "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<style>" in page and "dama" in page


def test_a_type_checker_sees_the_librarys_types(run: Run, tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(
        "import dama\nreveal_type(dama.align('dpo'))\nreveal_type(dama.bench().complete)\n"
    )
    shown = run("python", "-m", "mypy", "--follow-imports=silent", "use.py").stdout
    assert re.findall(r'"(?:[a-z]+\.)*(\w+)"', shown) == ["AlignResult", "bool"], shown
