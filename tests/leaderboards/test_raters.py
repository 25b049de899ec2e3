"""`agree`: judges, judge runs and people on the same answers of a store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import dama
from cli import cli
from harness.errors import UsageError
from harness.protocols.benchmark import Verdict
from harness.store import NewEvaluation, Store
from workflows.agreement import Agreements

A = {"1": (6, 6), "2": (5, 5), "3": (4, 2), "4": (1, 1), "5": (0, 0)}
B = {"1": (6,), "2": (3,), "3": (2,), "4": (1,), "5": (1,)}


def add(
    store: Store, judge: str, ratings: Mapping[str, Sequence[int]], *, run: str = "dpo-s0", text: str = "x"
) -> None:
    """An MMHal evaluation of ``run`` by ``judge``: ratings by sample, one a judge run."""
    rows = [
        (sample, k, f"image-{sample}", text, Verdict({"rating": float(r), "hallucinated": float(r < 3)}))
        for sample, of in ratings.items()
        for k, r in enumerate(of)
    ]
    store.save_evaluation(
        NewEvaluation(
            key=f"{run} {judge}", run=run, model=f"hf:{run}", model_key=run, benchmark="mmhal", alignment=None,
            settings={}, version="1", mode="plain", judge=judge, data_key="d", data_dir=".", decoding={},
            n=len(ratings), n_scored=len(ratings), n_failed=0, info={}, metrics={},
        ),
        rows,
    )  # fmt: skip


@pytest.fixture
def db(tmp_path: Path) -> Path:
    store = Store(tmp_path / "r.sqlite")
    add(store, "openai:a", A)
    add(store, "openai:b", B)
    return tmp_path / "r.sqlite"


def by_rating(found: Agreements) -> dict[str, dict[str, Any]]:
    return {record["rating"]: record for record in found.records}


def test_two_judges_of_the_same_answers(db: Path) -> None:
    """A's means 6 5 3 1 0, B's 6 3 2 1 1: two above, one below, means 3 and 2.6.

    Below 3 is hallucinated: A run 0 says 0 0 0 1 1, run 1 says 0 0 1 1 1, B says 0 0 1 1 1. Over both pairs 4.5 of 5
    agree; A's share of 1 is .5, B's .6: chance .5; kappa (.9 - .5) / .5 = .8.
    """
    found = by_rating(dama.agree("openai:a", "openai:b", db=db))
    rating, hallucinated = found["rating"], found["hallucinated"]
    assert (rating["n"], rating["groups"], rating["runs_a"], rating["runs_b"]) == (5, 5, 2, 1)
    assert (rating["above"], rating["below"], rating["mean_a"], rating["mean_b"]) == (2, 1, 3, 2.6)
    assert rating["difference"] == pytest.approx(0.4) and rating["difference_low"] < 0.4 < rating["difference_high"]
    assert rating["p"] == 1.0, "two against one: every split of three is as far from even"
    assert hallucinated["kappa"] == pytest.approx(0.8) and hallucinated["weighted_kappa"] is None
    assert hallucinated["alpha_low"] <= hallucinated["alpha"] <= hallucinated["alpha_high"]


def test_judge_run_variance_is_a_share_of_a_ratings_variance(db: Path) -> None:
    """A's runs: within 2 / 5 = .4; means 6 5 3 1 0, variance 6.5, less .2: between 6.3; share .4 / 6.7."""
    rating = by_rating(dama.agree("openai:a", "openai:b", db=db))["rating"]
    assert rating["run_variance_a"] == pytest.approx(0.4 / 6.7)
    assert rating["run_variance_b"] is None, "B rated once"
    assert rating["alpha_among_a"] is not None


def test_runs_of_one_judge(db: Path) -> None:
    rating = by_rating(dama.agree("openai:a#0", "openai:a#1", db=db))["rating"]
    assert (rating["a"], rating["b"], rating["above"], rating["below"]) == ("openai:a#0", "openai:a#1", 1, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("h.jsonl", '{"id": "1", "label": 6}\n{"id": 2, "label": 4}\n{"id": "9", "label": 1}\n'),
        ("h.csv", "id,label\n1,6\n2,4\n9,1\n"),
    ],
)
def test_people_from_a_file(db: Path, tmp_path: Path, name: str, text: str) -> None:
    """Labels of answers 1 and 2, which A rated 6 and 5; one of an answer that was not judged is said."""
    (tmp_path / name).write_text(text)
    found = by_rating(dama.agree("openai:a", human=tmp_path / name, rating="rating", db=db))["rating"]
    assert (found["n"], found["above"], found["below"], found["b"]) == (2, 1, 0, f"people ({name})")
    assert any("by the second alone: 1" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{"id": 1, "label": 6}\n{"id": "1", "label": 5}\n', "line 2: id 1 was labelled on line 1 already"),
        ('{"id": 1, "label": "good"}\n', "line 1: field 'label' should be a number, yes or no, found 'good'"),
        ('{"id": 1}\n', "line 1: expected one field of label or rating, found none"),
        ('{"label": 1}\n', "line 1: field 'id' should be a sample's id, found None"),
        ('{"id": 1, "label": 1, "run": 3}\n', "line 1: field 'run' should be the name of a run, found 3"),
        ("\n", "no labels in it"),
    ],
)
def test_a_bad_label_is_refused_by_its_row(db: Path, tmp_path: Path, rows: str, said: str) -> None:
    (tmp_path / "h.jsonl").write_text(rows)
    with pytest.raises(UsageError, match=said):
        dama.agree("openai:a", human=tmp_path / "h.jsonl", rating="rating", db=db)


def test_people_who_name_no_run_must_choose_among_several(db: Path, tmp_path: Path) -> None:
    add(Store(db), "openai:a", A, run="base")
    (tmp_path / "h.csv").write_text("id,label\n1,6\n2,4\n")
    with pytest.raises(UsageError, match="names no run, and answers of 2 were judged"):
        dama.agree("openai:a", human=tmp_path / "h.csv", rating="rating", db=db)
    with pytest.raises(UsageError, match="--rating rating or hallucinated"):
        dama.agree("openai:a", human=tmp_path / "h.csv", run="base", db=db)
    chosen = dama.agree("openai:a", human=tmp_path / "h.csv", run="base", rating="rating", db=db)
    assert chosen[0].n == 2


def test_answers_that_differ_are_not_compared(db: Path) -> None:
    add(Store(db), "openai:c", B, text="another answer")
    with pytest.raises(UsageError, match=r"openai:a and openai:c rated no answer in common.*dpo-s0 on mmhal"):
        dama.agree("openai:a", "openai:c", db=db)


def test_wrong_names_are_refused(db: Path) -> None:
    for arguments, said in (
        (("openai:x", "openai:b"), "Unknown judge among the evaluations 'openai:x'"),
        (("openai:a", None), "name two judges"),
        (("openai:a", "openai:a"), "named twice"),
    ):
        with pytest.raises(UsageError, match=said):
            dama.agree(*arguments, db=db)
    with pytest.raises(UsageError, match="give its level too"):
        dama.agree("openai:a", "openai:b", rating="informative", db=db)


def test_the_command_shows_it_and_gives_json(db: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(cli, ["agree", "openai:a", "openai:b", "--db", str(db)])
    assert shown.exit_code == 0, shown.output
    assert "judge-run variance is 6 %" in " ".join(shown.output.split())
    printed = runner.invoke(cli, ["agree", "openai:a", "openai:b", "--db", str(db), "--json"])
    assert [row["rating"] for row in json.loads(printed.stdout)] == ["rating", "hallucinated"]
    assert runner.invoke(cli, ["agree", "openai:a", "openai:x", "--db", str(db)]).exit_code == 2
