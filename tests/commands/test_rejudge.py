"""`rejudge` on three runs of six questions, two judges played by a server: every figure worked out by hand."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import dama
from harness.store import Store
from tests.benchmarks.conftest import write_jsonl
from tests.cases.running import judge_at, mmhal, run, said, score
from tests.harness.fault_server import Fault, FaultServer, http

RATED = {  # by run: the ratings of judge A, of judge B; below 3 is hallucinated
    "x": ("555551", "111155"),  # 1 of 6 by A, 4 of 6 by B
    "y": ("555111", "555111"),  # 3 of 6
    "z": ("511111", "511111"),  # 5 of 6
}


def judge_of(which: int) -> Any:
    """A judge that rates an answer as the text of it says: "x 0: 51" is 5 by A and 1 by B."""

    def play(prompt: str, nth: int) -> str | Fault:
        marks = re.findall(r"\b[xyz] \d: (\d)(\d)", prompt)
        return f"Analysis: fine.\nRating: {marks[-1][which]}"

    return play


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of MMHal's questions with the three runs in r.sqlite, scored by the judge openai:a."""
    folder = mmhal(tmp_path_factory.mktemp("scored") / "d")
    with FaultServer(judge_of(0)) as server:
        for name, (a, b) in RATED.items():
            rows = [{"id": str(i), "response": f"{name} {i}: {a[i]}{b[i]}"} for i in range(6)]
            write_jsonl(folder / f"{name}.jsonl", rows)
            score("mmhal", folder, judge_at(server, "a"), file=f"{name}.jsonl")
    return folder


@pytest.fixture
def judged(scored: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(scored, tmp_path / "d")


def rejudge(folder: Path, server: FaultServer, *more: object, name: str = "b", code: int = 0) -> Any:
    result = run("rejudge", *judge_at(server, name), "--db", folder / "r.sqlite", *more, code=code)
    return json.loads(result.stdout) if "--json" in more else " ".join(result.output.split())


def test_alpha_shift_and_ranking_are_those_worked_out_by_hand(judged: Path) -> None:
    """Of 18 answers 5 are hallucinated by one judge only; 21 of the 36 ratings say so: alpha = 1 - (10/36) / (2*21*15 /
    (36*35)) = 4/9. x falls from first to second: of three pairs one is swapped, tau = (2 - 1) / 3.
    """
    with FaultServer(judge_of(1)) as server:
        (found,) = rejudge(judged, server, "--json")
        assert (found["a"], found["b"], found["metric"]) == ("openai:a", "openai:b", "hallucination_rate")
        assert (found["samples"], found["of"], found["failed"]) == (6, 6, 0)
        (alpha,) = [of["alpha"] for of in found["agreement"] if of["rating"] == "hallucinated"]
        assert alpha == pytest.approx(4 / 9)
        figures = {s["run"]: (s["a"], s["b"], s["value"], s["n"]) for s in found["shifts"]}
        assert figures["x"] == pytest.approx((100 / 6, 400 / 6, 50, 6))
        assert figures["y"] == pytest.approx((50, 50, 0, 6)) and figures["z"] == pytest.approx((500 / 6, 500 / 6, 0, 6))
        low, high = next((s["low"], s["high"]) for s in found["shifts"] if s["run"] == "x")
        assert low < 50 < high
        assert found["ranking"]["tau"]["value"] == pytest.approx(1 / 3)
        (swapped,) = found["ranking"]["swapped"]
        assert (swapped["first"], swapped["second"]) == ("x", "y")
        assert (swapped["a"]["value"], swapped["b"]["value"]) == pytest.approx((-100 / 3, 100 / 6))
        assert len(server.calls) == 18

        text = rejudge(judged, server)
        assert len(server.calls) == 18, "what is stored of the replies is not asked again"
        assert "The ranking changes: tau 0.33" in text and "1 of 3 pairs of runs are in the opposite order by B" in text


def test_no_evaluation_is_stored_or_changed(judged: Path) -> None:
    store = Store(judged / "r.sqlite")
    before = store.evaluations(), store.verdict_counts()
    with FaultServer(judge_of(1)) as server:
        rejudge(judged, server, "--sample", "2", "--json")
    assert (store.evaluations(), store.verdict_counts()) == before


def test_a_drawn_part_is_the_same_for_every_run_and_another_by_another_seed(judged: Path) -> None:
    asked: list[frozenset[str]] = []
    for seed in (0, 0, 1):
        with FaultServer(judge_of(1)) as server:
            (found,) = rejudge(judged, server, "--sample", "2", "--seed", seed, "--json", name=f"b{len(asked)}")
            texts = [re.findall(r"\b([xyz]) (\d): \d\d", call["messages"][-1]["content"])[-1] for call in server.calls]
        assert (found["samples"], found["of"], len(texts)) == (2, 6, 6)
        by_run = {name: {i for run_, i in texts if run_ == name} for name in RATED}
        assert by_run["x"] == by_run["y"] == by_run["z"] and len(by_run["x"]) == 2
        asked.append(frozenset(by_run["x"]))
    assert asked[0] == asked[1] and len(set(asked)) > 1


def test_a_dry_run_counts_what_would_be_asked_and_asks_nothing(judged: Path) -> None:
    with FaultServer(judge_of(1)) as server:
        plan = rejudge(judged, server, "--sample", "2", "--dry-run", "--json")
        assert (plan["total"]["judge_calls"], plan["total"]["generations"], len(server.calls)) == (6, 0, 0)
        rejudge(judged, server, "--sample", "2")
        plan = rejudge(judged, server, "--dry-run", "--json")
    assert (plan["total"]["judge_calls"], plan["total"]["stored_replies"]) == (12, 6)


def test_a_budget_that_is_spent_leaves_answers_without_verdict_and_a_larger_one_asks_them(judged: Path) -> None:
    prices = judged / "prices.yaml"
    prices.write_text("b: {input: 1, output: 1}\n")
    priced = ("--prices", prices)
    with FaultServer(judge_of(1)) as server:
        (found,) = rejudge(judged, server, "--budget", "0", *priced, "--json", code=3)
        assert (found["failed"], len(server.calls)) == (18, 0) and "budget" in found["reason"]
        assert (found["agreement"], found["ranking"]["tau"]) == ([], None)
        assert [(s["n"], s["value"]) for s in found["shifts"]] == [(0, None)] * 3
        paid = run(
            *("rejudge", *judge_at(server, "b"), "--db", judged / "r.sqlite", "--budget", "9"), *priced, "--json"
        )
        (found,) = json.loads(paid.stdout)
        assert (len(server.calls), found["failed"]) == (18, 0)


def test_answers_that_the_judge_fails_on_are_counted_and_in_no_figure(judged: Path) -> None:
    def failing(prompt: str, nth: int) -> str | Fault:
        return http(400) if "x 5: " in prompt else str(judge_of(1)(prompt, nth))

    with FaultServer(failing) as server:
        (found,) = rejudge(judged, server, "--json", code=3)
    assert found["failed"] == 1 and "400" in found["reason"]
    x = next(shift for shift in found["shifts"] if shift["run"] == "x")
    assert (x["n"], x["a"], x["b"]) == pytest.approx((5, 0, 80))  # without the sixth, which A called hallucinated


def test_one_run_has_shift_and_alpha_but_no_ranking(judged: Path) -> None:
    with FaultServer(judge_of(1)) as server:
        (found,) = rejudge(judged, server, "--run", "y", "--json")
        assert [shift["run"] for shift in found["shifts"]] == ["y"] and found["ranking"]["tau"] is None
        assert "One run has no ranking." in rejudge(judged, server, "--run", "y")


def test_without_an_answer_that_both_scored_of_two_runs_nothing_is_said_of_the_ranking(judged: Path) -> None:
    """B rates x alone, then x and y: no pair has answers of both judges, then one of three."""
    for rated, compared in (("x", 0), ("xy", 1)):

        def failing(prompt: str, nth: int, rated: str = rated) -> str | Fault:
            return str(judge_of(1)(prompt, nth)) if re.search(rf"\b[{rated}] \d: ", prompt) else http(400)

        with FaultServer(failing) as server:
            (found,) = rejudge(judged, server, "--json", name=rated, code=3)
            text = rejudge(judged, server, name=rated, code=3)
        ranking = found["ranking"]
        assert (ranking["tau"], ranking["pairs"], ranking["compared"]) == (None, 3, compared)
        assert "The ranking holds" not in text
        assert ("nothing is known of the ranking" in text) == (compared == 0)
        assert ("1 of 1 pairs of runs are in the opposite order by B. 2 more have no answers" in text) == (
            compared == 1
        )


def test_a_judge_to_whom_all_are_level_confirms_no_ranking(judged: Path) -> None:
    with FaultServer(lambda prompt, nth: "Analysis: fine.\nRating: 1") as server:
        (found,) = rejudge(judged, server, "--json")
        text = rejudge(judged, server)
    assert found["ranking"]["level_by_one"] == 3 and found["ranking"]["tau"]["value"] is None
    assert "The ranking is not confirmed:" in text and "3 are level by one of the judges" in text


def test_runs_that_are_level_by_both_judges_have_no_ranking(judged: Path) -> None:
    with FaultServer(judge_of(0)) as server:
        write_jsonl(judged / "x2.jsonl", [json.loads(line) for line in (judged / "x.jsonl").read_text().splitlines()])
        score("mmhal", judged, judge_at(server, "a"), file="x2.jsonl")
        text = rejudge(judged, server, "--run", "x", "--run", "x2")
    assert "All runs are level by both judges: there is no ranking." in text and "The ranking holds" not in text


def test_the_library_gives_a_record_a_run(judged: Path) -> None:
    with FaultServer(judge_of(1)) as server:
        given = {"judge.first_wait": 0.001}
        found = dama.rejudge(f"openai:b@{server.url}", db=judged / "r.sqlite", settings=given, progress=False)
        assert [(row["run"], row["shift"]) for row in found.records] == [("x", pytest.approx(50)), ("y", 0), ("z", 0)]
    with FaultServer(lambda prompt, nth: http(400)) as server:
        nothing = dama.rejudge(f"openai:c@{server.url}", db=judged / "r.sqlite", settings=given, progress=False)
    names = ("value_a", "value_b", "shift", "low", "p")
    assert [[row[name] for name in names] for row in nothing.records] == [[None] * 5] * 3


def test_what_is_no_other_judge_or_not_clear_is_refused_before_anything_is_asked(judged: Path) -> None:
    with FaultServer(judge_of(1)) as server:
        same = run("rejudge", *judge_at(server, "a"), "--db", judged / "r.sqlite", code=2)
        assert "it is the judge of the stored figures" in said(same)
        planned = run("rejudge", *judge_at(server, "a"), "--db", judged / "r.sqlite", "--dry-run", code=2)
        assert said(planned) == said(same)
        (empty := judged / "empty.sqlite").touch()
        nothing = run("rejudge", *judge_at(server, "b"), "--db", empty, code=2)
        assert "holds no answers that a judge scored" in said(nothing) and empty.stat().st_size == 0
        wrong = run("rejudge", *judge_at(server, "b"), "--db", judged / "r.sqlite", "--benchmark", "mmhall", code=2)
        assert "mmhal" in said(wrong)
        other = run("rejudge", *judge_at(server, "b"), "--db", judged / "r.sqlite", "--set", "prompt=own", code=2)
        assert "the judge's settings only" in said(other)
        assert not server.calls
        score("mmhal", judged, judge_at(server, "c"), file="x.jsonl")
        unclear = run("rejudge", *judge_at(server, "b"), "--db", judged / "r.sqlite", code=2)
        assert "openai:a and openai:c: say with --of" in said(unclear)
        (found,) = rejudge(judged, server, "--of", "openai:c", "--json")
    assert (found["a"], [shift["run"] for shift in found["shifts"]]) == ("openai:c", ["x"])


def test_questions_that_changed_since_are_refused(judged: Path) -> None:
    file = judged / "mmhal-bench_answer_template.json"
    file.write_text(file.read_text().replace("Question 3?", "Another question?"))
    with FaultServer(judge_of(1)) as server:
        result = run("rejudge", *judge_at(server, "b"), "--db", judged / "r.sqlite", code=2)
        assert "are others now than those that" in said(result) and not server.calls
