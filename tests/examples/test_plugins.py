"""examples/plugins as an installed package: every kind is found by its entry point and does what its page says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import ROOT
from tests.leaderboards.fakes import example

NAMES = {
    "aligners": "hinge",
    "benchmarks": "colours",
    "judges": "command",
    "models": "constant",
    "splitters": "phrases",
    "formats": "tsv",
}
QUESTIONS = '{"id": "a", "object": "sky", "colour": "blue"}\n{"id": "b", "object": "grass", "colour": "green"}\n'
JUDGE = """
import re, sys
colour, answer = re.search(r"which is (\\w+)\\..*<answer>\\n(.*)\\n</answer>", sys.stdin.read(), re.S).groups()
print("Yes." if colour == answer else "No.")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would put on the import path: the modules, and the entry points of their pyproject.toml."""
    site = tmp_path_factory.mktemp("site")
    for file in (ROOT / "examples/plugins").glob("*.py"):
        shutil.copy(file, site)
    settings = (ROOT / "examples/plugins/pyproject.toml").read_text(encoding="utf-8")
    sections = re.findall(r'\[project\.entry-points\."(.+?)"\]\n((?:\w+ = ".+"\n)+)', settings)
    info = site / "example_plugins-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-plugins\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n{lines}" for group, lines in sections).replace('"', "")
    )
    return site


def python(site: Path, *words: str, cwd: Path | None = None) -> str:
    """The standard output of a Python process that sees the package; it must end well and warn of nothing."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "DAMA_HOME": str(site / "home"),
        "COLUMNS": "120",
    }
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=cwd or site, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    return done.stdout


def test_every_example_passes_the_checks_that_its_page_shows(site: Path) -> None:
    """The tests of the pages, run by pytest in a folder that has the data of the benchmark and a results file."""
    folder = site / "checks"
    (folder / "data").mkdir(parents=True)
    (folder / "data/colours.jsonl").write_text(QUESTIONS)
    example(folder)
    for kind in NAMES:
        text = (ROOT / f"docs/plugins/{kind}.md").read_text(encoding="utf-8")
        (test,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def test_" in block]
        (folder / f"test_{kind}.py").write_text(test)
    out = python(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".", cwd=folder)
    assert f"{len(NAMES)} passed" in out


def test_every_kind_is_listed(site: Path) -> None:
    code = (
        "import json, sys\nfrom click.testing import CliRunner\nfrom cli import cli\n"
        "for kind in sys.argv[1:]: print(CliRunner().invoke(cli, ['list', kind, '--json']).stdout.replace('\\n', ''))"
    )
    lines = python(site, "-c", code, *NAMES).splitlines()
    for (kind, name), line in zip(NAMES.items(), lines, strict=True):
        listed = [row["name"].partition(":")[0] for row in json.loads(line)]
        assert name in listed, kind


def test_the_model_answers_the_benchmark_the_judge_judges_it_and_the_format_shows_it(site: Path) -> None:
    """Of a blue sky and green grass the answer "blue" is right about one: 100 * 1 / 2; "red" about none."""
    data = site / "data"
    data.mkdir()
    (data / "colours.jsonl").write_text(QUESTIONS)
    (site / "judge.py").write_text(JUDGE)
    cli = str(ROOT / "cli.py")
    judge = f"command:{shlex.join([sys.executable, str(site / 'judge.py')])}"
    models = ("--model", "constant:blue", "--model", "constant:red")
    out = python(
        site, cli, "bench", "--benchmark", "colours", "--data-dir", str(data), *models, "--judge", judge, "--json"
    )
    blue, red = json.loads(out)
    assert blue["metrics"]["right"]["value"] == 50.0 and red["metrics"]["right"]["value"] == 0.0
    assert blue["n_scored"] == 2 and blue["judge"] == judge
    shown = python(site, cli, "leaderboard", "--format", "tsv")
    assert shown.splitlines() == [
        "panel\tcolours\tright",
        "all runs\tconstant:blue\t50",
        "all runs\tconstant:red\t0",
    ]
    undefined = python(site, "-c", "from tsv_format import cell; print([cell(float('nan')), cell(0.0)])")
    assert undefined.strip() == "['', '0']"


def test_the_splitter_cuts_at_commas_and_ends_of_sentences(site: Path) -> None:
    code = (
        "from aligners.pair_hardness.splitter import SPLITTERS\n"
        "print(SPLITTERS.get('phrases')().split(['A dog, a cat; grass. It rains.', 'a dog']))"
    )
    assert python(site, "-c", code).strip() == "[['A dog', 'a cat', 'grass.', 'It rains.'], ['a dog']]"
