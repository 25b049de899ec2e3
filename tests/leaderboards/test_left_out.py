"""Evaluations of a benchmark that is not installed any more: everything else is shown, and what is not is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

import dama
from benchmarks.pope import Pope
from cli import cli
from harness.protocols.benchmark import BENCHMARKS, Benchmark
from harness.store import Store
from leaderboards.snapshot import Snapshot
from tests.leaderboards.fakes import add, answers, example

Run = Callable[..., Result]
SAID = "of colours left out: Unknown benchmark 'colours'"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command line on a store of AMBER's and of a benchmark that was uninstalled, and on one of that alone."""
    store = example(tmp_path)
    for name in ("base", "dpo-s0"):
        add(store, name, answers([1, 2, 3]), benchmark="colours", data_key="c")
    alone = Store(tmp_path / "alone.sqlite")
    for name in ("base", "other"):
        add(alone, name, answers([1, 2, 3]), benchmark="colours", data_key="c", alignment=None)
    add(store, "other", answers([1, 2, 3]), benchmark="colours", data_key="c", alignment=None)

    def invoke(*words: str, code: int = 0, db: str = "results.sqlite") -> Result:
        result = CliRunner().invoke(cli, [*words, "--db", str(tmp_path / db)])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


@pytest.mark.parametrize("kind", ["table", "markdown", "latex", "csv", "json"])
def test_every_format_shows_the_rest_and_the_command_names_what_is_missing(run: Run, kind: str) -> None:
    shown = run("leaderboard", "--format", kind)
    assert "dama" in shown.stdout and "colours" not in shown.stdout
    assert f"3 evaluations {SAID}" in shown.stderr


def test_the_page_names_it(run: Run, tmp_path: Path) -> None:
    run("leaderboard", "--format", "html", "--out", str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "dama" in page and "3 evaluations of colours left out: Unknown benchmark" in page


def test_runs_are_compared_on_the_other_benchmarks(run: Run, tmp_path: Path) -> None:
    shown = run("compare", "base", "dpo-s0", "--json")
    assert {row["benchmark"] for row in json.loads(shown.stdout)} == {"amber"} and SAID in shown.stderr
    assert SAID in dama.compare("base", "dpo-s0", db=tmp_path / "results.sqlite").left_out[0]
    assert SAID in run("compare", "base", "other", code=2).stderr


def test_show_has_the_stored_figures(run: Run) -> None:
    facts = json.loads(run("show", "base", "--json").stdout)
    by_name = {row["benchmark"]: row for row in facts["evaluations"]}
    assert by_name["colours"]["metrics"]["chair"] == 50.0 and len(by_name["colours"]["samples"]) == 3
    assert "colours" in run("show", "base").stdout


def test_a_store_of_nothing_else_says_so(run: Run) -> None:
    assert f"2 evaluations {SAID}" in " ".join(run("leaderboard", db="alone.sqlite").output.split())
    assert SAID in run("compare", "base", "other", code=2, db="alone.sqlite").stderr
    assert "colours" in run("show", "other", db="alone.sqlite").stdout


def test_one_that_takes_other_settings_now_is_left_out_with_the_reason(run: Run, tmp_path: Path) -> None:
    add(Store(tmp_path / "results.sqlite"), "old", answers([1, 2]), settings={"gone": 1}, data_key="o", alignment=None)
    shown = run("leaderboard", "--format", "csv")
    assert "dama" in shown.stdout
    assert "1 evaluation of amber left out: Unknown setting of benchmark amber 'gone'" in shown.stderr


def test_one_that_raises_when_it_is_made_does_not_hide_the_rest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Fragile(Pope):
        name: ClassVar[str] = "colours"

        def __post_init__(self) -> None:
            raise RuntimeError("no such shade")

    kinds: dict[str, type[Benchmark]] = {**BENCHMARKS._items, "colours": Fragile}
    monkeypatch.setattr(BENCHMARKS, "_items", kinds)
    shown = run("leaderboard", "--format", "csv")
    assert "dama" in shown.stdout
    assert "3 evaluations of colours left out: making it raised RuntimeError: no such shade." in shown.stderr


@pytest.mark.parametrize("lost", ["1", "sample_id > '3'"])
def test_an_evaluation_that_lost_verdicts_gives_no_figure_and_is_named(tmp_path: Path, lost: str) -> None:
    store = example(tmp_path)
    (whole,) = store.evaluations(run="dpo-s0")
    with store.transaction() as db:
        db.execute(f"DELETE FROM verdict WHERE evaluation = ? AND {lost}", [whole.id])
    left = len(store.verdicts(whole.id))
    store.close()
    for kind in ("table", "json"):
        words = ["leaderboard", "--format", kind, "--db", str(tmp_path / "results.sqlite")]
        shown = CliRunner().invoke(cli, words)
        assert shown.exit_code == 0, shown.output
        assert f"1 evaluation of amber left out: of dpo-s0 {left} of {whole.n} verdicts are stored" in shown.stderr
        assert "dpo-s0" not in shown.stdout
    snapshot = Snapshot(Store.reading(tmp_path / "results.sqlite"))
    assert "dpo-s0" not in {e.run for e in snapshot.counted} and len(snapshot.evaluations) > 1


def test_an_evaluation_that_lost_one_of_its_judge_runs_is_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    add(store, "base", answers([1, 2, 3]), info={"judging": {"runs": 2}})
    assert "3 of 6 verdicts" in Snapshot(store).left_out["amber"]
