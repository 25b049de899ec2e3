"""Marks of official figures and the sentences on evaluators, in every format."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from leaderboards import declared
from leaderboards.evaluators import base_value, different_evaluators, rules_only
from leaderboards.formats.data import records, to_csv
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.formats.terminal import Terminal, evaluation_table
from leaderboards.notes import note
from leaderboards.page.html import render_html
from leaderboards.page.samples import Chunks
from leaderboards.rows import Table, build_tables
from leaderboards.snapshot import Snapshot
from leaderboards.view import View
from tests.leaderboards.fakes import METRICS, add, answers, snapshot
from tests.leaderboards.formats.test_formats import shown

LEXICON = "nouns: lexicon-pluralizer (officially nltk)"
RULES = {"info": {"unofficial": [LEXICON]}}
WORDS = "By the official rules only, with other resources: not comparable with published figures. AMBER: " + LEXICON


@pytest.fixture
def official_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """AMBER's short table has an official figure, as that of a plug-in may."""
    monkeypatch.setattr(declared.declared("amber"), "headline", ("chair", "official_chair"))


def stored(path: Path, **of: dict[str, Any]) -> Store:
    """base at 50 % and others at 25 %, evaluated as ``of`` has it."""
    store = Store(path / "r.sqlite")
    for run, changes in of.items():
        add(store, run, answers([2 if run == "base" else 1] * 6), alignment=None, **changes)
    return store


def tables_of(store: Store) -> list[Table]:
    return build_tables(snapshot(store), resamples=200)


def view_of(store: Store) -> View:
    return View(snapshot(store))


@pytest.mark.usefixtures("official_shown")
def test_every_format_marks_official_figures_of_other_resources_and_says_which(tmp_path: Path) -> None:
    store = stored(tmp_path, base=RULES, mine=RULES)
    tables, page = tables_of(store), render_html(view_of(store), Chunks(None, 10**7))
    text = Terminal().render(view_of(store))
    for of in (text, markdown(tables), page):
        assert "50.0‡" in of and "25.0‡" in of and "50.0" in of.replace("50.0‡", "")
    assert r"50.0$\ddagger$" in latex(tables) and latex(tables).count(r"50.0") == 2
    for of in (" ".join(text.split()), markdown(tables), page.replace("&#39;", "'"), latex(tables)):
        assert WORDS in of
    (record,) = store.evaluations(run="mine")
    record.metrics["official_chair"] = record.metrics["chair"]
    assert "25.00‡" in shown(evaluation_table([record])) or "25.0‡" in shown(evaluation_table([record]))


@pytest.mark.usefixtures("official_shown")
def test_fully_official_figures_and_those_of_unknown_resources_have_no_mark(tmp_path: Path) -> None:
    infos: dict[str, dict[str, Any]] = {"full": {"unofficial": []}, "unknown": {}}
    for name, info in infos.items():
        (tmp_path / name).mkdir()
        tables = tables_of(stored(tmp_path / name, base={"info": info}))
        assert "‡" not in markdown(tables) and rules_only(tables) == []
        assert {r["official"] for r in records(tables)} == {None, *(["full"] if name == "full" else [])}


def test_nothing_is_said_of_marks_where_no_short_table_has_one(tmp_path: Path) -> None:
    tables = tables_of(stored(tmp_path, base=RULES))
    assert "‡" not in note(tables) and rules_only(tables)


def test_records_say_of_official_figures_alone_how_far_they_are(tmp_path: Path) -> None:
    rows = {
        row["metric"]: row
        for row in records(tables_of(stored(tmp_path, base=RULES, mine=RULES)))
        if row["method"] == "mine"
    }
    assert (rows["official_chair"]["official"], rows["official_chair"]["official_differs"]) == ("rules", LEXICON)
    assert (rows["chair"]["official"], rows["chair"]["official_differs"]) == (None, None)
    parsed = list(csv.DictReader(io.StringIO(to_csv(tables_of(stored(tmp_path / "..", base=RULES))))))
    assert {row["metric"]: row["official"] for row in parsed} == {
        m.name: "rules" * (m.name == "official_chair") for m in METRICS
    }


def test_records_have_the_evaluator_and_the_bases_own_value(tmp_path: Path) -> None:
    version = {"version": "amber-1 yes-no-4 tagger=nltk"}
    found = records(tables_of(stored(tmp_path, base=version, mine=version)))
    assert {(r["extraction"], r["tagger"], r["prompt"]) for r in found} == {("amber-1 yes-no-4", "nltk", "")}
    assert len({r["evaluator"] for r in found}) == 1
    assert {r["base"] for r in found if r["metric"] == "chair"} == {50.0}


def test_rows_of_different_evaluators_are_said_with_what_differs(tmp_path: Path) -> None:
    store = stored(
        tmp_path, base={"version": "1 tagger=a"}, mine={"version": "1 tagger=b"}, other={"version": "1 tagger=b"}
    )
    tables = tables_of(store)
    keys = {row.label: row.evaluators[0].key for table in tables for row in table.rows}
    assert different_evaluators(tables) == [
        "AMBER has 2 evaluators, whose figures are not to be compared with each other: "
        f"{keys['base']} (tagger a): base; {keys['mine']} (tagger b): mine, other."
    ]
    assert different_evaluators(tables)[0] in note(tables)


def test_rows_of_one_table_whose_prompts_have_other_texts_are_said_too(tmp_path: Path) -> None:
    """A version names a prompt; what the condition of a table does not hold is in the fingerprint."""
    prompts = [{"info": {"prompt": {"name": "own-1", "sha256": letter * 20}}} for letter in "ab"]
    tables = tables_of(stored(tmp_path, base=prompts[0], mine=prompts[1]))
    assert len(tables) == 1
    assert "(prompt own-1 aaaaaaaaaaaa): base" in different_evaluators(tables)[0]


def test_rows_of_one_evaluator_need_no_word(tmp_path: Path) -> None:
    assert different_evaluators(tables_of(stored(tmp_path, base=RULES, mine=RULES))) == []


def test_the_bases_own_value_is_of_the_same_condition(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key="k", config={"model": "run:base"})
    store.finish_alignment("dpo-s0", status="done", model_dir="m", seconds=1.0)
    add(store, "base", answers([2] * 6), alignment=None)
    add(store, "dpo-s0", answers([1] * 6))
    add(store, "dpo-s0", answers([1] * 6), judge="another")
    seen = Snapshot(store)
    found = {e.judge: base_value(seen, e) for e in seen.current if e.run == "dpo-s0"}
    assert found == {"none": {"run": "base", "metric": "chair", "value": 50.0}, "another": None}
