"""Made-up data are called so in every heading, page and file; figures of others are as they were."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from leaderboards.comparison import compare
from leaderboards.condition import condition_of, newest
from leaderboards.formats.data import comparison_records
from leaderboards.formats.registry import FORMATS
from leaderboards.page.html import write_html
from leaderboards.selection import Selection
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.fakes import add, answers, example, snapshot
from tinyworld.build import SYNTHETIC


def store_of(folder: Path, info: dict[str, Any]) -> Store:
    """The example, in which base was benchmarked last, with ``info``; the others do not say what the data are."""
    folder.mkdir()
    store = example(folder)
    add(store, "base", answers([2, 2, 2, 2, 2, 1]), info=info)
    return store


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> dict[str, View]:
    root = tmp_path_factory.mktemp("stores")
    infos: dict[str, dict[str, Any]] = {"made up": {"synthetic": SYNTHETIC}, "other": {}}
    return {name: View(snapshot(store_of(root / name, info))) for name, info in infos.items()}


@pytest.mark.parametrize("name", ["table", "markdown", "latex", "csv", "json"])
def test_every_format_names_the_embedded_world_and_only_it(name: str, views: dict[str, View]) -> None:
    made_up, other = (FORMATS.get(name)().render(views[which]) for which in ("made up", "other"))
    assert SYNTHETIC in made_up.replace("\n", " ")
    assert "synthetic" not in other and "embedded" not in other
    if name == "markdown":
        assert made_up.startswith(f"# Leaderboard: {SYNTHETIC}\n")
        assert "### AMBER, embedded world (synthetic)\n" in made_up
    if name == "csv":
        rows = list(csv.DictReader(io.StringIO(made_up)))
        assert {row["synthetic"] for row in rows} == {SYNTHETIC}
    if name == "json":
        assert {row["synthetic"] for row in json.loads(made_up)} == {SYNTHETIC}


def test_the_page_names_it_in_title_and_head(views: dict[str, View], tmp_path: Path) -> None:
    for which, count in (("made up", 1), ("other", 0)):
        (page,) = write_html(views[which], tmp_path / f"{which}.html")
        text = page.read_text(encoding="utf-8")
        title = text.partition("<title>")[2].partition("</title>")[0]
        assert title.count("embedded world (synthetic)") == count or title.count("Embedded world (synthetic)") == count
        assert (f'<p class="note"><b>E{SYNTHETIC[1:]}.</b></p>' in text) == bool(count)


def test_a_comparison_names_it(views: dict[str, View]) -> None:
    for which, expected in (("made up", {SYNTHETIC}), ("other", {None})):
        rows = comparison_records(list(compare(views[which].snapshot, views[which].snapshot.current, "base", "dpo-s0")))
        assert rows and {row.get("synthetic") for row in rows} == expected


def test_an_old_evaluation_on_a_worlds_data_is_known_by_those_beside_it_and_no_other_is(tmp_path: Path) -> None:
    for folder, expected in (("bench-01/report", SYNTHETIC), ("mine", "")):
        store, good = Store(tmp_path / folder.replace("/", "-")), answers([1, 2])
        add(store, "base", good, info={"synthetic": SYNTHETIC}, data_dir=str(tmp_path / folder / "amber"))
        add(store, "base", good, data_key="e", benchmark="pope", data_dir=str(tmp_path / folder / "pope"))
        records = snapshot(store).all_stored
        said = {condition.benchmark: condition.synthetic for condition in newest(records, lambda e: e.run)}
        assert said == {"amber": SYNTHETIC, "pope": expected}
        alone = Snapshot(store, Selection(benchmarks=("pope",))).stored
        assert [condition_of(e).synthetic for e in alone] == [expected], "also where no other benchmark is shown"
