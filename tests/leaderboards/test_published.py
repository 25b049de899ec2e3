"""Published figures: only where an evaluator is an equal one, and never among one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from leaderboards.formats.latex import Latex
from leaderboards.formats.markdown import Markdown
from leaderboards.formats.terminal import Terminal
from leaderboards.page.html import render_html
from leaderboards.page.samples import Chunks
from leaderboards.published import COLUMNS, ROWS, SCORED_WITH, Published, Scoring
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.fakes import add, answers, example, snapshot

OFFICIAL: dict[str, Any] = {"info": {"unofficial": [], "data_notes": []}, "n": 15_220}


def block_of(store: Store, published: Any = True) -> Published:
    block = View(snapshot(store), published=published).published_block
    assert block is not None
    return block


def evaluated(path: Path, **changes: Any) -> Store:
    store = Store(path / "r.sqlite")
    add(store, "base", answers([1, 2]), **{**OFFICIAL, **changes})
    return store


def rendered(view: View) -> list[str]:
    page = render_html(view, Chunks(None, 10**7))
    return [
        " ".join(text.split())
        for text in (Latex().render(view), Markdown().render(view), Terminal().render(view), page)
    ]


def test_they_stand_beside_a_row_of_an_equal_evaluator_in_the_columns_of_that_benchmark(tmp_path: Path) -> None:
    block = block_of(evaluated(tmp_path))
    assert block.columns == ("AMBER CHAIR, % ↓", "AMBER Cover, % ↑", "AMBER Hal, % ↓", "AMBER Cog, % ↓")
    assert dict(block.rows)["DAMA-7B"] == ("3.0", "48.3", "14.8", "1.2")
    assert block.left_out == (
        "Published figures without a row of an equal evaluator are left out: Object HalBench, of which there is no "
        "row; MMHal-Bench, of which there is no row."
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"info": {**OFFICIAL["info"], "unofficial": ["nouns: a list (officially nltk)"]}},
            "published with the official resources; yours: nouns: a list (officially nltk)",
        ),
        ({"info": {"data_notes": []}}, "published with the official resources; yours: not recorded"),
        ({"n": 100}, "published on all 15,220 official samples; yours: 100"),
        (
            {"info": {**OFFICIAL["info"], "data_notes": ["annotations.json: not the official file"]}},
            "published on all 15,220 official samples; yours: 15,220 of other files",
        ),
        (
            {"info": {**OFFICIAL["info"], "synthetic": "embedded world (synthetic), drawn"}},
            "published on all 15,220 official samples; yours: 15,220 of other files",
        ),
        ({"judge": "openai:gpt-4o"}, "published without a judge; yours: openai:gpt-4o"),
    ],
)
def test_without_one_they_are_left_out_and_one_sentence_says_why(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    view = View(snapshot(evaluated(tmp_path, **changes)), published=True)
    assert view.published_block is not None and view.published_block.rows == ()
    assert f"AMBER, {why}." in view.published_block.left_out
    for text in rendered(view):
        assert "DAMA-7B" not in text and "without a row of an equal evaluator are left out" in text


def test_a_judge_is_the_same_by_its_models_name_at_whatever_endpoint(tmp_path: Path) -> None:
    asked = evaluated(tmp_path, judge="openai:gpt-4-0613")
    (row,) = View(snapshot(asked)).tables[0].rows
    (evaluator,) = row.evaluators
    assert Scoring("mm_vet", 218, "gpt-4-0613").differs(evaluator, 218) == ""
    assert "with gpt-4-0314 as judge; yours: openai:gpt-4-0613" in Scoring("mm_vet", 218, "gpt-4-0314").differs(
        evaluator, 218
    )
    assert "a judge that the paper does not name" in Scoring("mm_vet", 218, "").differs(evaluator, 218)


def test_every_column_is_of_a_benchmark_whose_scoring_is_declared() -> None:
    assert {column.benchmark for column in COLUMNS} == {scoring.benchmark for scoring in SCORED_WITH}
    assert all(len(values) == len(COLUMNS) for _, values in ROWS)


def test_all_of_them_are_shown_on_request_and_said_not_to_be_comparable(tmp_path: Path) -> None:
    view = View(Snapshot(example(tmp_path)), published="all")
    block = block_of(example(tmp_path / "b"), "all")
    assert (len(block.columns), block.left_out) == (8, "")
    for text in rendered(view):
        assert "Published figures, not measured here, not comparable with yours" in text
    assert "| DAMA-7B | 10.3 | 5.9 | 2.76 | 0.41 | 3.0 | 48.3 | 14.8 | 1.2 |" in rendered(view)[1]


def test_the_figures_of_a_variant_stand_beside_a_finished_run_of_it_alone(tmp_path: Path) -> None:
    store = example(tmp_path)
    for method, status, shown in (
        ("pea-dpo", "done", False),
        ("pea-dpo-repo", "failed", False),
        ("pea-dpo-repo", "done", True),
    ):
        store.start_alignment("p", method=method, seed=0, panel="", key="k", config={"method": method}, fresh=True)
        store.finish_alignment("p", status=status, model_dir="m", seconds=1.0)
        assert ("mPEA-DPO-7B" in dict(block_of(store, "all").rows)) is shown
