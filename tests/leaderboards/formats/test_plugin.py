"""A format of another package, added by entry point: Org mode's tables, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from harness.errors import HarnessError
from harness.store import Store
from leaderboards.formats.registry import Format
from leaderboards.view import View
from tests.house import ROOT
from tests.leaderboards.fakes import example

Run = Callable[..., subprocess.CompletedProcess[str]]
ORG = r"""
from __future__ import annotations

from leaderboards.declared import benchmark_title, metric_title
from leaderboards.formats.registry import Format
from leaderboards.rows import Table
from leaderboards.text import number, panel_title
from leaderboards.view import View


class OrgTables(Format):
    '''A heading and a table for each benchmark condition of each panel.'''

    name = "org"
    suffixes = (".org",)
    says_empty = True

    def render(self, view: View) -> str:
        '''The tables of ``view``, or what to do where there are none.'''
        return "\n".join(map(_table, view.tables)) if view.tables else f"{view.empty}\n"


def _table(table: Table) -> str:
    benchmark = table.condition.benchmark
    header = ["Method", *(metric_title(metric, benchmark) for metric in table.headline)]
    rows = [
        [row.label, *(number(row.cells[metric.name].value, metric) for metric in table.headline)] for row in table.rows
    ]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    lines.insert(1, "|" + "+".join("---" for _ in header) + "|")
    return "\n".join([f"* {benchmark_title(benchmark)}, {panel_title(table.panel)}", *lines, ""])
"""
BROKEN = """
from leaderboards.formats.registry import Format

class Half(Format):
    name = "half"
"""


def environment(folder: Path) -> dict[str, str]:
    """That of a process which sees the packages in ``folder``."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]), "COLUMNS": "200"}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`leaderboard` on a small store, where a package brings the format `org` and one that lacks `render`."""
    site = tmp_path / "site"
    (site / "other_package-1.0.dist-info").mkdir(parents=True)
    (site / "org_table.py").write_text(ORG)
    (site / "half.py").write_text(BROKEN)
    (site / "other_package-1.0.dist-info/METADATA").write_text(
        "Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n"
    )
    (site / "other_package-1.0.dist-info/entry_points.txt").write_text(
        "[dama_harness.formats]\norg = org_table:OrgTables\nhalf = half:Half\n"
    )
    example(tmp_path)

    def invoke(*words: str, db: str = "results.sqlite") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "cli.py"), "leaderboard", "--db", db, *words]
        return subprocess.run(
            command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return invoke


def test_a_format_of_another_package_prints_and_writes(run: Run, tmp_path: Path) -> None:
    printed = run("--format", "org")
    assert printed.returncode == 0, printed.stderr
    lines = printed.stdout.splitlines()
    columns = ("Method", "CHAIR ↓", "Cover ↑", "Hal ↓", "Cog ↓", "F1 ↑", "Balanced accuracy ↑", "Yes ratio", "Mentions")
    assert lines[:2] == ["* AMBER, clean", f"| {' | '.join(columns)} |"]
    assert lines[2] == "|---+---+---+---+---+---+---+---+---|"
    assert [line.split(" | ")[:2] for line in lines[3:6]] == [["| base", "50.0"], ["| dpo", "37.5"], ["| dama", "13.8"]]
    written = run("--format", "org", "--out", "tables/board.org")
    assert (tmp_path / "tables/board.org").read_text(encoding="utf-8") == printed.stdout
    assert "wrote tables/board.org" in written.stderr and not written.stdout


def test_it_says_what_to_do_where_nothing_is_stored(run: Run, tmp_path: Path) -> None:
    Store(tmp_path / "empty.sqlite")
    assert "run `bench`" in run("--format", "org", db="empty.sqlite").stdout


def test_a_file_with_its_ending_is_written_in_it(run: Run, tmp_path: Path) -> None:
    code = "import dama; dama.leaderboard().write('board.org')"
    done = subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), cwd=tmp_path, check=False)
    assert done.returncode == 0
    assert (tmp_path / "board.org").read_text(encoding="utf-8") == run("--format", "org").stdout


def test_the_command_writes_the_format_of_the_ending(run: Run, tmp_path: Path) -> None:
    files = ("again.org", "page.HTML", "board.txt")
    assert [run("--out", file).returncode for file in files] == [0, 0, 0]
    again, page, board = ((tmp_path / file).read_text(encoding="utf-8") for file in files)
    assert again == run("--format", "org").stdout
    assert page.startswith("<!doctype html>")
    assert run("--format", "table", "--out", "table.org").returncode == 0
    assert (tmp_path / "table.org").read_text(encoding="utf-8") == board


@pytest.mark.parametrize("there", [False, True])
def test_a_directory_is_a_page_and_an_unknown_ending_is_refused(run: Run, there: bool, tmp_path: Path) -> None:
    """A directory is known by its slash, or because it is there; a file without an ending is the table."""
    if there:
        (tmp_path / "pages").mkdir()
    assert run("--out", "pages" if there else "pages/").returncode == 0
    assert (tmp_path / "pages/index.html").is_file() and (tmp_path / "pages/samples").is_dir()
    assert run("--out", "board").returncode == 0
    assert "AMBER  clean" in (tmp_path / "board").read_text(encoding="utf-8")
    refused = run("--out", "page.pdf")
    assert refused.returncode == 2 and not (tmp_path / "page.pdf").exists()
    assert "page.pdf: name the format (--format markdown" in refused.stderr and ".html" in refused.stderr
    assert run("--format", "table", "--out", "page.pdf").returncode == 0


def test_the_command_names_what_a_broken_one_lacks(run: Run) -> None:
    refused = run("--format", "half")
    assert refused.returncode == 2 and not refused.stdout
    assert "format 'half' of half:Half cannot be used: it has no 'render'" in refused.stderr
    unknown = run("--format", "orgg")
    assert unknown.returncode == 2 and "Did you mean 'org'" in unknown.stderr


def test_a_format_that_gives_no_text_is_named() -> None:
    class Silent(Format):
        name = "silent"

        def render(self, view: View) -> str:
            return cast(str, None)

    with pytest.raises(HarnessError, match="The format silent gives NoneType, expected a text"):
        Silent().text(cast(View, None))
