"""The pages on plug-ins show the files of examples/plugins, which other tests run."""

from __future__ import annotations

import re

import pytest

from tests.house import ROOT

EXAMPLES = ROOT / "examples/plugins"
PAGES = {
    "aligners": "hinge.py",
    "benchmarks": "colours.py",
    "judges": "command_judge.py",
    "models": "constant_model.py",
    "splitters": "phrase_splitter.py",
    "formats": "tsv_format.py",
}


@pytest.mark.parametrize(("page", "example"), PAGES.items())
def test_a_page_shows_the_whole_file_and_its_entry_point(page: str, example: str) -> None:
    text = (ROOT / f"docs/plugins/{page}.md").read_text(encoding="utf-8")
    assert f"```python\n{(EXAMPLES / example).read_text(encoding='utf-8')}```" in text, (
        f"the page differs from {example}"
    )
    (entry,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert entry in (EXAMPLES / "pyproject.toml").read_text(encoding="utf-8")


def test_every_example_has_its_page() -> None:
    assert sorted(PAGES.values()) == sorted(file.name for file in EXAMPLES.glob("*.py"))
    assert sorted(PAGES) == sorted(file.stem for file in (ROOT / "docs/plugins").glob("*.md"))
