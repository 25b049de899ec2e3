from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from leaderboards.data import records, to_csv, to_json
from leaderboards.markdown import grid, markdown
from leaderboards.rows import Table, build_tables
from leaderboards.terminal import evaluation_table, leaderboard
from tests.leaderboards.fakes import example, metrics


@pytest.fixture
def tables(tmp_path: Path) -> list[Table]:
    store = example(tmp_path)
    return build_tables(store.evaluations(), store.alignments(), lambda e: store.verdicts(e.id), metrics, resamples=200)


def shown(*renderables: object, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None)
    console.print(*renderables, sep="\n")
    return console.export_text()


def test_the_terminal_shows_figures_intervals_differences_and_failures(tables: list[Table]) -> None:
    text = shown(*leaderboard(tables))
    for piece in (
        "AMBER",
        "clean",
        "CHAIR ↓",
        "37.5 ±17.7",
        "37.5–37.5",
        "Δ -25.0*",
        "11/12 (1 failed) · 2 seeds",
        "Δ to dpo",
    ):
        assert piece in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_empty_store_says_what_to_do() -> None:
    assert "bench" in shown(*leaderboard([]))


def test_markdown_is_a_table_with_equal_columns(tables: list[Table]) -> None:
    html = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table").render(markdown(tables))
    assert html.count("<table>") == 2
    assert "<h2>clean</h2>" in html
    assert "-25.0* [" in html
    assert "<strong>" in html  # the best row


def test_markdown_escapes_bars() -> None:
    assert grid(["a"], [["x|y"]]).splitlines()[2] == "| x\\|y |"


def test_json_keeps_types_and_has_every_metric(tables: list[Table]) -> None:
    parsed = json.loads(to_json(tables))
    assert len(parsed) == 3 * 4
    base = parsed[0]
    assert (base["method"], base["metric"], base["value"], base["n"]) == ("base", "chair", 50.0, 6)
    assert base["higher_is_better"] is False
    assert base["seed_sd"] is None


def test_csv_has_the_same_records(tables: list[Table]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(tables))))
    assert len(rows) == len(records(tables))
    assert (rows[0]["value"], rows[0]["seed_sd"]) == ("50.0", "")
    assert to_csv([]) == ""


def test_fresh_evaluations_are_listed_with_their_intervals(tmp_path: Path) -> None:
    text = shown(evaluation_table(example(tmp_path).evaluations(run="dama-s1")))
    assert "dama-s1" in text and "5/6" in text and "[0.0, 50.0]" in text
