"""Which objects one model hallucinates and another does not, counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import dama
from cli import cli
from harness.errors import UsageError
from harness.protocols.benchmark import Verdict
from harness.stats import NOTHING
from harness.store import Store
from leaderboards.objects import load_objects
from leaderboards.snapshot import Snapshot
from tests.leaderboards.fakes import add, example

Words = Sequence[tuple[str, bool]]


def named(*words: tuple[str, bool]) -> Verdict:
    """A verdict on an answer that mentions these; of each whether it is hallucinated."""
    wrong = [word for word, hallucinated in words if hallucinated]
    counts = {"mentions": float(len(words)), "hallucinated": float(len(wrong))}
    return Verdict(counts, details={"mentions": [word for word, _ in words], "hallucinated": wrong})


def put(store: Store, run: str, answers: Mapping[str, Verdict], **changes: Any) -> None:
    add(store, run, answers, benchmark="object_halbench", settings={"extraction": "text"}, **changes)


def test_a_difference_without_an_interval_leaves_out_nothing() -> None:
    """So it is neither bold in `objects` nor sure on the page."""
    assert not NOTHING.leaves_out_0 and not replace(NOTHING, value=3.0).leaves_out_0
    assert replace(NOTHING, low=0.1, high=3.0).leaves_out_0 and replace(NOTHING, low=-3.0, high=-0.1).leaves_out_0
    assert not replace(NOTHING, low=-1.0, high=0.0).leaves_out_0


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """In 4 pictures base hallucinates 3 chairs and a dog; the seeds of dpo 1 and 0 chairs, 1 and 2 dogs.

    The fifth picture has no score in one of dpo's seeds, and counts nowhere.
    """
    made = Store(tmp_path / "r.sqlite")
    for seed in (0, 1):
        made.start_alignment(f"dpo-s{seed}", method="dpo", seed=seed, panel="", key=str(seed), config={})
        made.finish_alignment(f"dpo-s{seed}", status="done", model_dir="m", seconds=1.0)
    chair, dog = ("chair", True), ("dog", True)
    put(made, "base", {"0": named(chair), "1": named(chair, dog), "2": named(chair, ("cat", False)), "3": named(),
                       "4": named(chair)})  # fmt: skip
    put(made, "dpo-s0", {"0": named(chair), "1": named(dog), "2": named(("cat", False)), "3": named(), "4": named()})
    put(made, "dpo-s1", {"0": named(("chair", False)), "1": named(dog), "2": named(dog), "3": named(),
                         "4": Verdict({}, error="no reply")})  # fmt: skip
    return made


def test_counts_are_the_mean_over_the_seeds_on_the_answers_that_all_have(store: Store) -> None:
    """chair: 3 of 3 at base; (1 + 0) / 2 of (1 + 1) / 2 in dpo. dog: 1; (1 + 2) / 2. Changes 2.5 and -0.5."""
    (found,) = load_objects(Snapshot(store), "base", "dpo")
    assert (found.answers, found.seeds, found.objects) == (4, (1, 2), 2)
    rows = [(c.object, c.a, c.b, c.a_mentions, c.b_mentions) for c in found.changes]
    assert rows == [("chair", 3.0, 0.5, 3.0, 1.0), ("dog", 1.0, 1.5, 1.0, 1.5)]
    assert (found.a, found.b, found.a_mentions, found.b_mentions) == (4.0, 2.0, 5.0, 3.0)


def test_the_difference_is_a_minus_b_per_100_answers_with_an_interval(store: Store) -> None:
    """2.5 of 4 answers are 62.5 of 100."""
    (found,) = load_objects(Snapshot(store), "base", "dpo")
    chair, dog = (change.difference for change in found.changes)
    assert (chair.value, dog.value) == (pytest.approx(62.5), pytest.approx(-12.5))
    assert chair.low < 62.5 < chair.high
    (turned,) = load_objects(Snapshot(store), "dpo", "base")
    assert [c.difference.value for c in turned.changes] == [pytest.approx(-62.5), pytest.approx(12.5)]


def test_only_the_largest_changes_are_shown_if_wanted_and_the_others_counted(store: Store) -> None:
    (found,) = load_objects(Snapshot(store), "base", "dpo", top=1)
    assert [c.object for c in found.changes] == ["chair"] and found.objects == 2 and found.a == 4.0
    text = CliRunner().invoke(cli, ["objects", "base", "dpo", "--top", "1", "--db", str(store.path)]).stdout
    assert "1 more objects change less: --top 2" in text and "3 of 3" in text and "0.5 of 1" in text


@pytest.mark.parametrize(
    ("a", "b", "seeds"), [("base", "dpo", "1 seed of base, 2 seeds of dpo"), ("base", "dpo-s1", None)]
)
def test_the_heading_says_how_many_seeds_each_side_has(store: Store, a: str, b: str, seeds: str | None) -> None:
    """As "seeds 1 and 2" it read as the numbers of the seeds. Of two runs there is nothing to say."""
    text = " ".join(CliRunner().invoke(cli, ["objects", a, b, "--db", str(store.path)]).stdout.split())
    assert (f"4 answers, {seeds} Object" if seeds else "4 answers Object") in text


def test_the_counts_are_those_of_the_view_that_sql_reads(store: Store) -> None:
    (found,) = load_objects(Snapshot(store), "base", "dpo-s1")
    query = """SELECT object, sum(hallucinated) FROM mentions WHERE run = 'base' AND sample != '4' GROUP BY object
               HAVING sum(hallucinated)"""
    assert dict(store.db.execute(query).fetchall()) == {c.object: c.a for c in found.changes if c.a}


def test_a_seed_judged_twice_counts_as_much_as_one_judged_once(store: Store) -> None:
    """The second judge run of base finds no chair in picture 0: (3 + 2) / 2."""
    number = store.evaluations(run="base")[0].id
    rows = [{**row, "judge_run": 1} for row in store.rows("verdict") if row["evaluation"] == number]
    for row in rows:
        if row["sample_id"] == "0":
            row["details"] = '{"mentions": [], "hallucinated": []}'
    marks = ", ".join("?" * len(rows[0]))
    store.write(f"INSERT INTO verdict VALUES ({marks})", [tuple(row.values()) for row in rows])
    (found,) = load_objects(Snapshot(store), "base", "dpo")
    assert found.changes[0].a == 2.5


def test_benchmarks_whose_verdicts_name_no_objects_are_refused_by_name(tmp_path: Path) -> None:
    path = example(tmp_path).path
    with pytest.raises(UsageError, match=r"AMBER: their verdicts name no objects\. Object HalBench's"):
        dama.objects("base", "dpo", db=path)
    with pytest.raises(UsageError, match=r"benchmark of both 'pope'"):
        dama.objects("base", "dpo", benchmark="pope", db=path)
    with pytest.raises(UsageError, match=r"'nobody'"):
        dama.objects("base", "nobody", db=path)


def test_names_are_read_as_compare_reads_them(tmp_path: Path) -> None:
    """An empty store says so; of a run that was aligned anew no objects of the former model are named."""
    empty = Store(tmp_path / "empty.sqlite")
    with pytest.raises(UsageError, match="holds no evaluations to compare"):
        dama.objects("base", "dpo", db=empty.path)
    path = example(tmp_path).path
    again = Store(path)
    again.start_alignment("dpo-s0", method="dpo", seed=0, panel="clean", key="anew", config={})
    again.finish_alignment("dpo-s0", status="done", model_dir="m", seconds=1.0)
    for command in (dama.objects, dama.compare):
        with pytest.raises(UsageError, match="dpo-s0 was aligned anew since it was benchmarked"):
            command("dpo-s0", "base", db=path)


@pytest.mark.parametrize(("a", "b"), [("dpo", "dpo"), ("dpo-s0", "dpo-s0"), ("base", "base"), ("dpo", "dpo@clean")])
def test_what_is_compared_with_itself_is_refused(tmp_path: Path, a: str, b: str) -> None:
    path = example(tmp_path).path
    for command in (dama.objects, dama.compare, dama.plan):
        with pytest.raises(UsageError, match="nothing differs from itself: name two runs"):
            command(a, b, db=path)
    assert len(dama.compare("dpo", "dpo-s0", db=path)), "one seed of a method is not the method"


def test_python_gives_a_row_an_object(store: Store) -> None:
    found = dama.objects("base", "dpo", db=store.path)
    assert [(row["object"], row["a"], row["b"]) for row in found.records] == [("chair", 3.0, 0.5), ("dog", 1.0, 1.5)]
