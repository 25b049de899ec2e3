"""Stores that are odd, tiny or broken: brackets in names, one sample, numbers that are none, pages too large."""

from __future__ import annotations

import io
import json
import math
import secrets
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from cli import cli
from harness.protocols.benchmark import Sample, Verdict
from harness.store import Store
from leaderboards.charts.forest import Estimate, forest
from leaderboards.comparison import compare
from leaderboards.formats.comparison_view import comparison_table
from leaderboards.formats.data import records
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.formats.terminal import evaluation_table, leaderboard
from leaderboards.page.html import render_html, rows_by_panel
from leaderboards.page.samples import Chunks, pack
from leaderboards.rows import Table, build_tables
from leaderboards.run_groups import run_groups
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.fakes import METRICS, add, answers, example, snapshot

ODD = "odd [/] name"
TAG = "data [v2] :smile:"


def tables_of(store: Store) -> list[Table]:
    return build_tables(snapshot(store), resamples=50)


def shown(*renderables: object, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO(), record=True, color_system=None, emoji=False)
    console.print(*renderables, sep="\n")
    return console.export_text()


def run(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def bracketed(path: Path) -> Store:
    """The example store, and a panel, a run and a method whose names look like rich's markup."""
    store = example(path)
    for panel, name in ((ODD, "[/bold] x"), (TAG, "run [v2]")):
        store.start_alignment(name, method="dama [red]", seed=0, panel=panel, key=name, config={})
        store.finish_alignment(name, status="done", model_dir="m [/]", seconds=1.0)
        add(store, name, answers([0, 1] * 3))
    add(store, "base", answers([1] * 6), benchmark="lmms:task[/]", judge="judge [/]", mode="[v1]")
    return store


def test_brackets_in_names_are_shown_as_they_are(tmp_path: Path) -> None:
    store = bracketed(tmp_path)
    for differences in (False, True):
        text = shown(*leaderboard(tables_of(store), differences=differences))
        for name in (ODD, TAG, "dama [red]", "lmms:task[/]", "judge [/]", "[v1]"):
            assert name in text
    odd = [replace(METRICS[0], name="acc[/]"), *METRICS[1:]]
    evaluations = [replace(e, benchmark="a[/]b") for e in store.evaluations() if e.judge == "none"]
    found = compare(snapshot(store, odd), evaluations, "base", "run [v2]")
    text = shown(comparison_table(found, "base", "run [v2]"))
    assert "a[/]b" in text and "acc[/]" in text and "run [v2]" in text
    assert "[/bold] x" in shown(evaluation_table(store.evaluations(run="[/bold] x")))


@pytest.mark.parametrize(
    "words",
    [
        ("leaderboard",),
        ("leaderboard", "--differences"),
        ("compare", "base", "run [v2]"),
        ("show", "run [v2]"),
        ("list", "runs"),
        ("status",),
    ],
)
def test_no_command_reads_a_name_as_markup(tmp_path: Path, words: tuple[str, ...]) -> None:
    store = bracketed(tmp_path)
    with store.db.conn:
        store.db.conn.execute("DELETE FROM evaluation WHERE run = '[/bold] x'")
    text = run(*words, "--db", store.path).stdout
    assert ("run:[/bold] x" if words == ("status",) else "[v2]") in text


def one_sample(path: Path) -> Store:
    """base is wrong and dpo right on a single image, asked about twice."""
    store = Store(path / "one.sqlite")
    for run_, count in (("base", 4.0), ("dpo", 0.0)):
        add(store, run_, answers([count]), alignment=None)
    return store


def test_one_sample_has_neither_interval_nor_star_nor_least(tmp_path: Path) -> None:
    tables = tables_of(one_sample(tmp_path))
    base = tables[0].rows[0].cells["chair"]
    assert base.value == 100 and math.isnan(base.low) and math.isnan(base.high)
    found = base.versus["dpo"]
    assert (found.value, found.n) == (100, 1) and math.isnan(found.p)
    assert math.isnan(found.low) and math.isnan(found.high) and math.isnan(found.smallest)
    texts = [shown(*leaderboard(tables)), shown(*leaderboard(tables, differences=True)), markdown(tables)]
    texts.append(latex(tables, differences=True).replace("$^{*}$", "STAR"))
    for text in texts:
        figures = text.replace("* marks", "").replace("** one", "").replace("**0.0**", "")
        assert "+100.0*" not in figures and "[100.0" not in figures and "100.0, 100.0" not in figures
        assert "STAR" not in figures
    row = next(r for r in records(tables) if r["method"] == "base" and r["metric"] == "chair")
    assert (row["low"], row["high"], row["vs_dpo_low"], row["vs_dpo_smallest"]) == (None, None, None, None)


def test_a_comparison_of_one_sample_shows_dashes(tmp_path: Path) -> None:
    store = one_sample(tmp_path)
    found = compare(snapshot(store), store.evaluations(), "base", "dpo")
    line = next(line for line in shown(comparison_table(found, "base", "dpo")).splitlines() if "CHAIR" in line)
    assert line.split() == ["CHAIR", "↓", "100.0", "0.0", "+100.0", "–", "–", "–", "1.000", "–"]


def test_a_difference_without_an_interval_is_a_point_in_the_chart(tmp_path: Path) -> None:
    chart = forest([Estimate("dama", -3.0, math.nan, math.nan)], "t", "x")
    ElementTree.fromstring(chart)
    assert "nan" not in chart and chart.count("dot") == 1 and "whisker" not in chart
    page = render_html(View(Snapshot(one_sample(tmp_path))), Chunks(None, 10**7))
    assert 'x1="nan"' not in page


def broken(path: Path) -> Store:
    """The example store with numbers that JSON lacks in a run's values and details."""
    store = example(path)
    odd = Verdict(
        {"hallucinated": math.nan, "mentions": 4.0, "correct": math.inf, "asked": 1.0},
        details={"score": math.nan, "nested": [{"x": -math.inf}]},
    )
    add(store, "odd", {**answers([1] * 5), "5": odd}, alignment=None, info={"x": math.nan})
    return store


def strict(text: str) -> object:
    """``text`` as a reader of JSON reads it that knows no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_none_take_no_format_down(tmp_path: Path) -> None:
    store = broken(tmp_path)
    for kind in ("table", "markdown", "html", "latex", "csv", "json"):
        run("leaderboard", "--format", kind, "--out", tmp_path / f"made.{kind}", "--db", store.path)
    assert strict((tmp_path / "made.json").read_text())
    assert strict(run("show", "odd", "--json", "--samples", "9", "--db", store.path).stdout)
    assert strict(run("compare", "odd", "base", "--json", "--db", store.path).stdout)
    run("show", "odd", "--samples", "9", "--db", store.path)
    assert pack({"a": [math.nan, 1.0]}) == pack({"a": [None, 1.0]})


def test_the_export_is_json_and_keeps_the_rest(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    store = broken(tmp_path)
    run("export", "--out", tmp_path / "out", "--db", store.path)
    rows = [strict(line) for line in (tmp_path / "out" / "verdict.jsonl").read_text().splitlines()]
    details = next(row["details"] for row in rows if isinstance(row, dict) and row["details"])
    assert details == {"score": None, "nested": [{"x": None}]}
    run("export", "--format", "parquet", "--table", "verdict", "--out", tmp_path / "out", "--db", store.path)
    texts = [row["details"] for row in pq.read_table(tmp_path / "out" / "verdict.parquet").to_pylist()]
    assert details in [strict(text) for text in texts]


def test_an_evaluation_is_listed_where_its_samples_fit_too(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.save_samples("d", [Sample(str(i), secrets.token_hex(2000)) for i in range(6)])
    page = render_html(View(Snapshot(store)), chunks := Chunks(None, 14_000))
    assert {name[0] for name in chunks.inline} == {"r", "t"} and "sd" in chunks.left_out
    assert '"evaluations": []' in page and "--out DIR" in page
    add(store, "base", answers([1] * 6), benchmark="mmhal", data_key="e")
    chunks = Chunks(None, 14_000)
    assert '"evaluations": []' not in render_html(View(Snapshot(store)), chunks)
    assert [name[0] for name in chunks.inline if name[0] in "svp"] == ["s", "v", "p"]


def test_beside_a_row_stands_its_own_dpo_or_base(tmp_path: Path) -> None:
    store = example(tmp_path)
    for name in ("dpo", "dama"):
        store.start_alignment(f"{name}-f", method=name, seed=0, panel="flipped", key=name, config={})
        store.finish_alignment(f"{name}-f", status="done", model_dir="m", seconds=1.0)
        add(store, f"{name}-f", answers([1] * 6))
    evaluations = {e.run: e.id for e in store.evaluations()}
    found = rows_by_panel(store.evaluations(), run_groups(store.alignments()), ["clean", "flipped"])
    assert found[evaluations["base"]] == {n: {"row": "base", "beside": "dpo"} for n in "01"}
    assert found[evaluations["dama-f"]] == {"1": {"row": "dama", "beside": "dpo"}}
    assert found[evaluations["dpo-s1"]] == {"0": {"row": "dpo", "beside": "base"}}


@pytest.mark.parametrize(
    "words",
    [("leaderboard",), ("compare", "a", "b"), ("show", "a"), ("export",), ("list", "runs"), ("db", "check")],
)
def test_a_command_that_reads_makes_no_file(tmp_path: Path, words: tuple[str, ...]) -> None:
    text = run(*words, "--db", tmp_path / "typo.sqlite", code=2).stderr
    assert "typo.sqlite: there is no such results file" in text and "python cli.py demo" in text
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_says_the_next_step(tmp_path: Path) -> None:
    where = ("--db", Store(tmp_path / "new.sqlite").path)
    assert "python cli.py bench" in run("compare", "a", "b", *where, code=2).stderr.replace("\n", " ")
    assert "python cli.py align" in run("show", "a", *where, code=2).stderr.replace("\n", " ")
    for kind in ("table", "markdown", "latex"):
        assert "run `bench`" in run("leaderboard", "--format", kind, *where).stdout
    assert run("leaderboard", "--format", "csv", *where).stdout.startswith("panel,benchmark,")


def test_a_suite_without_results_is_told_apart_from_an_empty_store(tmp_path: Path) -> None:
    words = ("leaderboard", "--db", example(tmp_path).path, "--suite", "general")
    for kind in ("table", "markdown", "latex"):
        text = run(*words, "--format", kind).stdout.replace("\n", " ")
        assert "No evaluations of suite general" in text and "amber" in text and "No evaluations yet" not in text
    for kind in ("csv", "json", "html"):
        assert "No evaluations of suite general" in run(*words, "--format", kind, "--out", tmp_path / "x.html").stderr


def test_rows_without_common_samples_say_why_there_is_a_dash(tmp_path: Path) -> None:
    store = example(tmp_path)
    assert "no sample was scored for both" not in markdown(tables_of(store))
    add(store, "left", {"a": answers([1])["0"]}, alignment=None)
    for text in (shown(*leaderboard(tables_of(store))), markdown(tables_of(store))):
        assert "No differences (–) of left and dpo; left and base: no sample was scored for both" in " ".join(
            text.split()
        )


def test_rows_of_which_no_answer_was_scored_are_not_called_asked_on_other_samples(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "left", {str(i): Verdict({}, error="no yes or no") for i in range(6)}, alignment=None)
    text = " ".join(markdown(tables_of(store)).split())
    assert "No differences (–) of left on AMBER: no answer was scored; `show RUN` says why." in text
    assert "`bench` both on the same" not in text


def test_a_table_in_a_file_is_the_table_that_is_shown(tmp_path: Path) -> None:
    store = example(tmp_path)
    place = tmp_path / "made.txt"
    run("leaderboard", "--out", place, "--db", store.path)
    said = [line.rstrip() for line in run("leaderboard", "--db", store.path).stdout.splitlines()]
    table = place.read_text().splitlines()
    assert said[: len(table)] == table, "what follows on the terminal is the answer in words"
    assert "AMBER  clean" in said[0] and not any("|" in line for line in said)


def test_mcnemar_stands_in_the_table_where_it_applies(tmp_path: Path) -> None:
    store = example(tmp_path)
    found = compare(snapshot(store), store.evaluations(), "dama-s0", "base")
    text = shown(comparison_table(found, "dama-s0", "base", everything=True), width=80)
    heads = next(line for line in text.splitlines() if "p Holm" in line).split()
    assert heads[-5:] == ["p", "p", "Holm", "McNemar", "MDD"] and "exact test" in text
    assert ".031" in next(line for line in text.splitlines() if "Accuracy" in line)
    assert max(map(len, text.splitlines())) <= 80
    assert "McNemar" not in shown(comparison_table(found, "dama-s0", "base"))


def test_a_page_of_a_suite_is_of_that_suite_only(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "general-only", answers([1] * 6), benchmark="lmms:pope", alignment=None, judge="popejudge")
    run("leaderboard", "--format", "html", "--suite", "hallucination", "--out", tmp_path / "h.html", "--db", store.path)
    page = (tmp_path / "h.html").read_text()
    assert "general-only" not in page and "popejudge" not in page and "dama-s0" in page
    run("leaderboard", "--suite", "hallucination", "--plots", tmp_path / "plots", "--db", store.path)
    drawn = [file.name for file in (tmp_path / "plots").iterdir()]
    assert any(name.startswith("amber") for name in drawn) and not any("pope" in name for name in drawn)
