from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from harness.protocols.benchmark import Metric, ratio
from harness.stats import Difference
from leaderboards.formats.data import records, to_csv, to_json
from leaderboards.formats.markdown import grid, literal, markdown
from leaderboards.formats.terminal import evaluation_table, leaderboard
from leaderboards.rows import Table, build_tables
from leaderboards.text import better, stars
from tests.leaderboards.fakes import example, snapshot


@pytest.fixture
def tables(tmp_path: Path) -> list[Table]:
    store = example(tmp_path)
    return build_tables(snapshot(store), resamples=200)


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
        "0.0–75.7",
        "11/12 (1 failed) · 2 seeds",
        "-25.0 ",
        "Δ to dpo",
        "-37.5 ",
        "Δ to base",
    ):
        assert piece in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_terminal_shows_differences_in_full_where_asked(tables: list[Table]) -> None:
    text = shown(*leaderboard(tables, differences=True), width=80)
    assert "difference to dpo" in text and "difference to base" in text and "Δ to" not in text
    # dama against base on five samples that agree; the seeds alone (test_rows) leave +- 38.2 open.
    lines = [line.rstrip() for line in text.splitlines()]
    row = next(i for i, line in enumerate(lines) if "-37.5 " in line)
    assert "-75.7, 0.7" in lines[row + 1] and "±0.0 ±38.2" in lines[row + 2] and "p .155" in lines[row + 3]
    assert max(map(len, lines)) <= 80


def test_two_stars_need_the_adjusted_p_value_too() -> None:
    clear, crossing = Difference(2.0, 1.0, 3.0, 0.01, 9), Difference(2.0, -1.0, 5.0, 0.01, 9)
    assert [stars(clear, p) for p in (0.04, 0.06, math.nan)] == ["**", "*", "*"]
    assert stars(crossing, 0.01) == ""
    less, none = Metric("m", ratio("a", "b"), False), Metric("m", ratio("a", "b"), None)
    assert (better(clear, less, 0.04), better(clear, less, 0.06), better(clear, none, 0.04)) == (False, None, None)


def test_an_empty_store_says_what_to_do() -> None:
    assert "bench" in shown(*leaderboard([]))
    assert "bench" in markdown([]) and "Figures are means" not in markdown([])


def test_markdown_is_a_table_with_equal_columns(tables: list[Table]) -> None:
    html = pytest.importorskip("markdown_it").MarkdownIt("commonmark").enable("table").render(markdown(tables))
    assert html.count("<table>") == 3
    assert "<h2>clean</h2>" in html
    assert "-25.0 [" in html
    assert "<strong>" in html  # the best row


def test_markdown_escapes_bars() -> None:
    assert grid(["a"], [[literal("x|y")]]).splitlines()[2] == "| x\\|y |"


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
    assert to_csv([]) == ",".join(records(tables)[0]) + "\n", "the header stands without rows too"


def test_fresh_evaluations_are_listed_with_their_intervals(tmp_path: Path) -> None:
    text = shown(evaluation_table(example(tmp_path).evaluations(run="dama-s1")))
    assert "dama-s1" in text and "5/6" in text and "[0.0, 50.0]" in text
