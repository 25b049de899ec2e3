"""Leaderboards of some runs, benchmarks or judges: what is left out, and that it is said."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import dama
from cli import cli
from harness.protocols.benchmark import Verdict
from harness.store import Store
from leaderboards.rows import Table
from tests.leaderboards.fakes import add, answers, example
from tests.tiny import tiny_amber


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The example on AMBER, of which dama-s1 lacks a sample, and two of its runs judged on another benchmark."""
    store = example(tmp_path)
    for run in ("base", "dama-s0"):
        for judge in ("openai:one", "openai:two"):
            add(store, run, answers([1] * 6), benchmark="mmhal", judge=judge)
    return store


def run(*words: str, store: Store, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [*words, "--db", str(store.path)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def rows(store: Store, *words: str) -> list[tuple[str, str, str]]:
    """(benchmark, judge, row) of what is shown."""
    found = json.loads(run("leaderboard", "--format", "json", *words, store=store).stdout)
    return sorted({(row["benchmark"], row["judge"], row["method"]) for row in found})


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), {"amber none base dama dpo", "mmhal openai:one base dama", "mmhal openai:two base dama"}),
        (("--run", "dpo-s0"), {"amber none base dpo", "mmhal openai:one base", "mmhal openai:two base"}),
        (("--run", "dpo", "--run", "dama@clean", "--benchmark", "amber"), {"amber none base dama dpo"}),
        (("--judge", "openai:two"), {"mmhal openai:two base dama"}),
        (("--judge", "none", "--judge", "openai:one"), {"amber none base dama dpo", "mmhal openai:one base dama"}),
        (("--benchmark", "mmhal", "--judge", "openai:one"), {"mmhal openai:one base dama"}),
    ],
)
def test_filters_leave_the_named_rows_beside_base(store: Store, words: tuple[str, ...], shown: set[str]) -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for benchmark, judge, row in rows(store, *words):
        found.setdefault((benchmark, judge), []).append(row)
    assert {" ".join([*key, *names]) for key, names in found.items()} == shown


def seeds(board: dama.Leaderboard) -> dict[str, tuple[str, ...]]:
    table: Table = next(table for table in board.tables if table.condition.benchmark == "amber")
    return {row.label: row.runs for row in table.rows}


def test_complete_leaves_out_what_lacks_a_sample_and_says_so(store: Store) -> None:
    assert seeds(dama.leaderboard(db=store.path))["dama"] == ("dama-s0", "dama-s1")
    assert seeds(dama.leaderboard(complete=True, run="dama", db=store.path)) == {
        "base": ("base",),
        "dama": ("dama-s0",),
    }
    said = run("leaderboard", "--complete", "--run", "dama", store=store).stderr
    assert "--complete leaves out dama-s1 on amber (5 of 6 scored)" in said
    assert "2 of 5 runs are shown: p-values are adjusted over all methods of a table." in said


def records(store: Store, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("leaderboard", "--format", "json", *words, store=store).stdout)
    return found


def test_a_filter_changes_no_figure_no_star_and_no_p_value(store: Store) -> None:
    whole = records(store)
    of_dama = [row for row in whole if row["method"] != "dpo"]
    assert records(store, "--run", "dama") == of_dama
    assert any((row["vs_base_p_holm"] or 0) > (row["vs_base_p"] or 0) for row in of_dama), "adjusted over dpo too"
    of_dpo = [row for row in whole if row["method"] != "dama" and row["benchmark"] == "amber"]
    assert records(store, "--run", "dpo", "--judge", "none") == of_dpo


@pytest.mark.parametrize("form", ["table", "markdown", "latex", "html"])
def test_what_a_filter_or_hiding_leaves_out_is_said_in_every_format(store: Store, tmp_path: Path, form: str) -> None:
    def text(*words: str) -> str:
        file = tmp_path / f"board.{form}"
        run("leaderboard", "--format", form, "--out", str(file), *words, store=store)
        return " ".join(file.read_text().split())

    assert "Not shown" not in text()
    assert "Not shown, but p-values are adjusted over them too: dpo." in (some := text("--run", "dama-s0"))
    assert "Of some runs only: dama (1 of 2 runs)." in some
    run("db", "hide", "dpo-s0", store=store)
    assert "Hidden, so not counted anywhere: dpo-s0." in text()


def test_the_answer_in_words_is_about_the_rows_shown(store: Store) -> None:
    def words(*filters: str) -> str:
        shown = run("leaderboard", "--benchmark", "amber", *filters, store=store).stdout.splitlines()
        return next(line for line in shown if line.startswith("AMBER (clean)"))

    whole, some = words(), words("--run", "dama")
    of_dpo = re.search(r"; not distinguishable from it: dpo \([^)]*\)", whole)
    assert of_dpo is not None and "dpo" not in some
    shown = whole.replace(of_dpo[0], "")
    assert some == shown.replace("AMBER (clean):", "AMBER (clean), of the 2 rows shown of 3:") != shown


def test_a_method_without_a_complete_evaluation_still_counts(store: Store) -> None:
    short = {**answers([1, 1, 1, 1, 1]), "5": Verdict({}, error="no reply")}
    for name in ("dpo-s0", "dpo-s1"):
        add(store, name, short)
    (table,) = dama.leaderboard(complete=True, benchmark="amber", db=store.path).tables
    assert (table.left_out, table.partial) == (("dpo",), ("dama (1 of 2 runs)",))
    dama_row = table.rows[-1]
    assert set(dama_row.references) == {"base"} == set(dama_row.cells["chair"].holm)
    assert dama_row.cells["chair"].versus["base"].level == 0.05 / 3, "three pairs of rows, of which dpo is in two"


def test_the_base_stays_where_it_is_a_run_itself(tmp_path: Path) -> None:
    """dpo and dama were trained from sft, which is the base of their panel: it is shown beside one of them."""
    store = Store(tmp_path / "results.sqlite")
    for name, model in (("sft", "hf:m"), ("dpo", "hf:sft"), ("dama", "hf:sft")):
        log = store.start_alignment(name, method=name, seed=0, panel="", key=name, config={"model": model})
        log.log_info({"lineage": {"parent": "sft"} if name != "sft" else {}})
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
        add(store, name, answers([1] * 6))
    shown = {(row["panel"], row["method"]) for row in records(store, "--run", "dama")}
    assert {method for _, method in shown} == {"base", "dama"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--run", "damma"), "Unknown run or method 'damma'. Did you mean 'dama'?"),
        (("--judge", "gpt"), "Unknown judge among the evaluations 'gpt'. Known: none, openai:one, openai:two."),
        (("--benchmark", "pope"), "Unknown benchmark among the evaluations 'pope'. Known: amber, mmhal."),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_are_stored(
    store: Store, words: tuple[str, ...], message: str
) -> None:
    assert message in " ".join(run("leaderboard", *words, store=store, code=2).stderr.split())


def test_a_selection_that_leaves_nothing_says_which_it_was(store: Store) -> None:
    shown = run("leaderboard", "--benchmark", "amber", "--judge", "openai:one", store=store).stdout
    assert "No evaluation is left by --benchmark amber --judge openai:one." in shown


def test_a_hidden_run_is_kept_and_not_shown_until_it_is_shown_again(store: Store) -> None:
    run("db", "hide", "dpo-s0", "dpo-s1", store=store)
    assert {row for _, _, row in rows(store)} == {"base", "dama"}
    assert "Hidden: dpo-s0, dpo-s1 (`db unhide RUN`" in run("leaderboard", store=store).stderr
    listed = {row["name"]: row for row in json.loads(run("list", "runs", "--json", store=store).stdout)}
    assert listed["dpo-s0"]["hidden"] == "yes" and "hidden" not in listed["dama-s0"]
    assert json.loads(run("show", "dpo-s0", "--json", store=store).stdout)["evaluations"]
    run("db", "unhide", "dpo-s0", store=store)
    assert seeds(dama.leaderboard(db=store.path))["dpo"] == ("dpo-s0",)


def test_removing_a_run_says_what_asks_and_leaves_the_others_alone(store: Store) -> None:
    assert "add --yes to remove dama-s0" in run("db", "rm", "dama-s0", store=store, code=2).stderr
    assert "Did you mean 'dama-s0'" in run("db", "rm", "dama-s00", "--yes", store=store, code=2).stderr
    assert "db rm RUN..." in run("db", "rm", "--yes", store=store, code=2).stderr
    before = {name: store.count(name) for name in store.tables()}
    gone = json.loads(run("db", "rm", "dama-s0", "--yes", "--json", store=store).stdout)
    assert (gone["alignment"], gone["evaluation"], gone["verdict"]) == (1, 3, 18)
    assert "the model in m" in gone["kept"]
    after = {name: store.count(name) for name in store.tables()}
    assert {name: before[name] - after[name] for name in before} == {name: gone.get(name, 0) for name in before}
    assert json.loads(run("db", "check", "--json", store=store).stdout)["state"] == "sound"


def score(tmp_path: Path, **options: Any) -> dama.Evaluation:
    if not (tmp_path / "amber").exists():
        tiny_amber(tmp_path / "amber")
    file = tmp_path / "dpo.jsonl"
    file.write_text("".join(json.dumps({"id": i, "response": "A dog. Yes."}) + "\n" for i in range(1, 5)))
    settings = {"similarity": "exact", "tagger": "lexicon"}
    return dama.score("amber", file, tmp_path / "amber", settings=settings, progress=False, **options)


def test_answers_in_a_file_that_is_called_as_a_method_are_no_seed_of_it(store: Store, tmp_path: Path) -> None:
    scored = score(tmp_path, db=store.path)
    tables = dama.leaderboard(db=store.path).tables
    (own,) = [table for table in tables if table.condition.data_hash == scored.record.data_key]
    assert [row.label for row in own.rows] == [f"replay:{tmp_path / 'dpo.jsonl'}"]


def test_a_name_is_what_the_row_is_called_and_no_other_models(store: Store, tmp_path: Path) -> None:
    scored = score(tmp_path, name="theirs", db=store.path)
    assert scored.run == "theirs"
    with pytest.raises(dama.UsageError, match="'dpo': that is the name of an alignment, a method or the base"):
        score(tmp_path, name="dpo", db=store.path)
    shared: dict[str, Any] = {"benchmark": "amber", "data_dir": tmp_path, "db": store.path, "progress": False}
    shared["settings"] = {"similarity": "exact", "tagger": "lexicon"}
    answered = f"replay:{tmp_path / 'dpo.jsonl'}"
    (again,) = dama.bench(model=answered, name="ours", **shared)
    assert again.run == "ours"
    with pytest.raises(dama.UsageError, match="one model, give one --model"):
        dama.bench(model=[answered, "hf:org/x"], name="both", **shared)
    with pytest.raises(dama.UsageError, match=r"'ours': that is the row of replay:.*dpo\.jsonl"):
        dama.bench(model="hf:org/x", name="ours", **shared)
    labels = {row.label for table in dama.leaderboard(db=store.path).tables for row in table.rows}
    assert {"theirs", "ours"} <= labels


def test_a_hidden_run_counts_in_no_command_unless_it_is_named(tmp_path: Path) -> None:
    """`objects`, `plan` and `agree` read the runs that the tables are made of, as `compare` does."""
    store = example(tmp_path)
    for judge, runs in (("openai:one", ("dama-s0", "dama-s1")), ("openai:two", ("dama-s0", "dama-s1"))):
        for name in runs:
            add(store, name, rated([3] * 6 if name == "dama-s0" else [5] * 6), benchmark="mmhal", judge=judge)
    for name in ("base", "dpo-s0", "dpo-s1"):
        add(store, name, {str(i): naming("dog") for i in range(6)}, benchmark="object_halbench")
    run("db", "hide", "dpo-s1", "dama-s0", store=store)
    (changes,) = dama.objects("dpo", "base", db=store.path)
    assert changes.seeds == (1, 1)
    assert next(iter(dama.objects("dpo-s1", "base", db=store.path))).seeds == (1, 1), "it is named"
    with pytest.raises(dama.UsageError, match="two training seeds"):
        dama.plan("dama", "base", benchmark="amber", db=store.path)
    (agreed,) = dama.agree("openai:one", "openai:two", rating="rating", db=store.path)
    assert agreed.n == 6
    (named,) = dama.agree("openai:one", "openai:two", rating="rating", run="dama-s0", db=store.path)
    assert (named.n, named.mean_a) == (6, 3.0)


def rated(ratings: Sequence[int]) -> dict[str, Verdict]:
    return {str(i): Verdict({"rating": float(r), "hallucinated": float(r < 3)}) for i, r in enumerate(ratings)}


def naming(word: str) -> Verdict:
    return Verdict({"mentions": 1.0, "hallucinated": 1.0}, details={"mentions": [word], "hallucinated": [word]})
