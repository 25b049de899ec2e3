"""docs/papers.md has a row for every aligner and benchmark, and names files and recipes that exist."""

from __future__ import annotations

import re

import pytest

from aligners.objective import ALIGNERS
from harness.protocols.benchmark import BENCHMARKS
from tests.house import ROOT

PAGE = (ROOT / "docs/papers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALIGNERS.listed())
def test_every_aligner_has_its_equation_its_file_and_its_authors_settings(name: str) -> None:
    rows = re.findall(rf"^\| `{name}` \|.*", PAGE, re.MULTILINE)
    assert len(rows) == 2, f"{name}: expected one row of the paper and one of the settings"
    module = ALIGNERS.get(name).__module__
    if module.startswith("aligners."):
        assert f"`{module.replace('.', '/')}.py`" in rows[0]
    (arxiv,) = re.findall(r"arXiv ([\d.]+)", ALIGNERS.get(name).paper) or [""]
    assert arxiv in PAGE


@pytest.mark.parametrize("name", BENCHMARKS.listed())
def test_every_benchmark_cites_the_paper_that_it_declares(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}` \|.*", PAGE, re.MULTILINE)
    assert BENCHMARKS.get(name).paper in row


def test_every_recipe_is_named() -> None:
    recipes = {file.name for file in (ROOT / "recipes").glob("*.yaml")}
    assert recipes == set(re.findall(r"recipes/([\w.]+\.yaml)", PAGE))
