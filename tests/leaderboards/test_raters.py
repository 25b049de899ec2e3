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
    store: Store,
    judge: str,
    ratings: Mapping[str, Sequence[int]],
    *,
    run: str = "dpo-s0",
    text: str = "x",
    benchmark: str = "mmhal",
) -> None:
    """An MMHal (or other) evaluation of ``run`` by ``judge``: ratings by sample, one a judge run."""
    rows = [
        (sample, k, f"image-{sample}", text, Verdict({"rating": float(r), "hallucinated": float(r < 3)}))
        for sample, of in ratings.items()
        for k, r in enumerate(of)
    ]
    store.save_evaluation(
        NewEvaluation(
            key=f"{run} {judge} {benchmark}", run=run, model=f"hf:{run}", model_key=run, benchmark=benchmark,
            alignment=None, settings={}, version="1", mode="plain", judge=judge, data_key="d", data_dir=".",
            decoding={}, n=len(ratings), n_scored=len(ratings), n_failed=0, info={}, metrics={},
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


def test_a_judge_alone_is_compared_with_itself_over_its_runs(db: Path) -> None:
    """Krippendorff 2011, nominal: runs 0 0 0 1 1 and 0 0 1 1 1 disagree on one of five: 2 of 10 coincidences, by chance
    2 x 5 x 5 of 90: alpha = 1 - .2 / (50 / 90) = .64. The variance's share is that of the test above."""
    found = by_rating(dama.agree("openai:a", db=db))
    rating, hallucinated = found["rating"], found["hallucinated"]
    assert hallucinated["alpha"] == hallucinated["alpha_among_a"] == pytest.approx(0.64)
    assert rating["run_variance_a"] == pytest.approx(0.4 / 6.7)
    assert (rating["n"], rating["runs_a"], rating["runs_b"], rating["mean_a"]) == (5, 2, 0, 3.0)
    undefined = ("b", "mean_b", "kappa", "weighted_kappa", "difference", "p", "run_variance_b")
    assert {rating[name] for name in undefined} == {None}
    shown = CliRunner().invoke(cli, ["agree", "openai:a", "--db", str(db)])
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert "openai:a and its own runs" in text and "judge-run variance is 6 %" in text and "0.64" in text


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


def test_labels_of_another_scale_than_a_flag_are_refused(db: Path, tmp_path: Path) -> None:
    """People rated from 0 to 6: beside "hallucinated", which is 0 or 1, every 4 would be a disagreement."""
    (tmp_path / "h.csv").write_text("id,label\n1,1\n2,4\n")
    with pytest.raises(UsageError, match=r"h\.csv: it has the label 4, and hallucinated is 0 or 1: .* --rating"):
        dama.agree("openai:a", human=tmp_path / "h.csv", rating="hallucinated", db=db)
    (found,) = dama.agree("openai:a", human=tmp_path / "h.csv", rating="rating", db=db)
    assert found.n == 2


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
        (("openai:b", None), r"agree openai:b: it rated each answer in one run.*--judge B, then `agree openai:b B`"),
        (("openai:a#1", None), "agree openai:a#1: it rated each answer in one run"),
        (
            ("openai:a", "openai:a"),
            "ratings of one judge by itself; compare two of its runs, openai:a#0 and openai:a#1",
        ),
        (("openai:a", "openai:a#0"), "openai:a and openai:a#0 are ratings of one judge by itself"),
        (("openai:a#1", "openai:a"), "two of its runs, openai:a#0 and openai:a#1"),
        (("openai:a#1", "openai:a#1"), "two of its runs, openai:a#0 and openai:a#1"),
    ):
        with pytest.raises(UsageError, match=said):
            dama.agree(*arguments, db=db)
    with pytest.raises(UsageError, match="give its level too"):
        dama.agree("openai:a", "openai:b", rating="informative", db=db)


def test_judging_again_in_several_runs_is_advised_only_where_the_benchmark_has_that_setting(
    tmp_path: Path, db: Path
) -> None:
    """MM-Vet and LLaVA-Bench declare judge_runs; `bench --set judge_runs=3` of MMHal alone is refused."""
    people, several = tmp_path / "h.csv", Store(tmp_path / "several.sqlite")
    people.write_text("id,label\n1,6\n2,4\n")
    for benchmark in ("mmhal", "mm_vet"):
        add(several, "openai:b", B, benchmark=benchmark)

    def shown(*words: str) -> str:
        done = CliRunner().invoke(cli, ["agree", "openai:b", *words])
        return " ".join((done.stdout + done.stderr).split())

    alone = shown("--db", str(db))
    assert "judge_runs" not in alone and "`bench` or `score` with --judge B, then `agree openai:b B`" in alone
    assert "judge mm_vet again with --set judge_runs=3, score" in shown("--db", str(several.path))
    labelled = ("--human", str(people), "--rating", "rating")
    of_mmhal = shown(*labelled, "--db", str(db))
    assert "MMHal-Bench: judge-run variance is not known" in of_mmhal and "judge_runs=3" not in of_mmhal
    assert "--judge B, then `agree openai:b B`" in of_mmhal
    of_mm_vet = shown(*labelled, "--level", "ordinal", "--benchmark", "mm_vet", "--db", str(several.path))
    assert "each rated once. Judge again with --set judge_runs=3." in of_mm_vet


def test_a_run_of_a_judge_that_is_not_there_is_named_with_those_that_are(db: Path, tmp_path: Path) -> None:
    """A rated in runs 0 and 1, B in run 0 alone; that A#0 and B#1 share no answer is no news of their answers."""
    with pytest.raises(UsageError, match=r"^agree openai:b#0 openai:b#1: openai:b has no run 1; it rated in run 0\.$"):
        dama.agree("openai:b#0", "openai:b#1", db=db)
    with pytest.raises(UsageError, match=r"openai:a has no run 2; it rated in runs 0 and 1\.$"):
        dama.agree("openai:a#2", "openai:b", db=db)
    with pytest.raises(UsageError, match=r"^agree openai:a#2: openai:a has no run 2"):
        dama.agree("openai:a#2", db=db)
    (tmp_path / "h.csv").write_text("id,label\n1,6\n")
    with pytest.raises(UsageError, match=r"openai:b has no run 4; it rated in run 0\.$"):
        dama.agree("openai:b#4", human=tmp_path / "h.csv", rating="rating", db=db)


def test_two_judges_and_people_are_one_rater_too_many(db: Path, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("id,label\n1,6\n2,4\n")
    with pytest.raises(UsageError, match="or one judge and --human FILE"):
        dama.agree("openai:a", "openai:b", human=tmp_path / "h.csv", rating="rating", db=db)


def test_filters_that_leave_no_judged_answer_are_named(db: Path) -> None:
    add(Store(db), "none", B, benchmark="amber")
    with pytest.raises(UsageError, match=r"no answers that a judge scored \(--benchmark amber\)\. Score some with"):
        dama.agree("openai:a", "openai:b", benchmark="amber", db=db)


def test_labels_whose_ids_two_benchmarks_have_are_of_the_one_that_is_named(db: Path, tmp_path: Path) -> None:
    """MM-Vet's samples are called 1 to 5 as MMHal's are; of HallusionBench's, 7 and 8, no label is."""
    add(Store(db), "openai:a", A, benchmark="mm_vet")
    add(Store(db), "openai:a", {"7": (1,), "8": (0,)}, benchmark="hallusion_bench")
    (tmp_path / "h.csv").write_text("id,label\n1,6\n2,4\n")
    with pytest.raises(UsageError, match=r"h\.csv: its ids are of samples of mmhal and mm_vet.*--benchmark"):
        dama.agree("openai:a", human=tmp_path / "h.csv", rating="rating", db=db)
    (found,) = dama.agree("openai:a", human=tmp_path / "h.csv", rating="rating", benchmark="mmhal", db=db)
    assert (found.benchmark, found.n) == ("mmhal", 2)


def test_a_rating_is_compared_where_it_is_declared_and_refused_where_no_benchmark_declares_it(
    db: Path, tmp_path: Path
) -> None:
    for judge in ("openai:a", "openai:b"):
        add(Store(db), judge, {"21": (1,), "22": (0,)}, benchmark="hallusion_bench")
    (tmp_path / "h.csv").write_text("id,label\n1,6\n2,4\n")
    (of_people,) = dama.agree("openai:a", human=tmp_path / "h.csv", rating="rating", db=db)
    (of_judges,) = dama.agree("openai:a", "openai:b", rating="rating", db=db)
    assert (of_people.benchmark, of_judges.benchmark) == ("mmhal", "mmhal")
    with pytest.raises(UsageError, match="--rating informative: mmhal, hallusion_bench does not declare it"):
        dama.agree("openai:a", "openai:b", rating="informative", db=db)


def test_an_answer_labelled_with_and_without_its_run_is_refused(db: Path, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text("id,label,run\n1,6,\n2,4,\n1,0,dpo-s0\n")
    with pytest.raises(UsageError, match=r"line 4: id 1 of dpo-s0 was labelled on line 2 already"):
        dama.agree("openai:a", human=tmp_path / "h.csv", rating="rating", db=db)


def test_the_command_shows_it_and_gives_json(db: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(cli, ["agree", "openai:a", "openai:b", "--db", str(db)])
    assert shown.exit_code == 0, shown.output
    assert "judge-run variance is 6 %" in " ".join(shown.output.split())
    printed = runner.invoke(cli, ["agree", "openai:a", "openai:b", "--db", str(db), "--json"])
    assert [row["rating"] for row in json.loads(printed.stdout)] == ["rating", "hallucinated"]
    assert runner.invoke(cli, ["agree", "openai:a", "openai:x", "--db", str(db)]).exit_code == 2
