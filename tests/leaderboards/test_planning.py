"""What a wanted difference takes: variance components by hand, by simulation, and in agreement with the leaderboard."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import dama
from cli import cli
from harness.errors import UsageError
from harness.protocols.benchmark import Metric, ratio
from harness.stats import SeedVariance
from harness.store import Store
from leaderboards.planning import Components, Design, Side, components, needed
from leaderboards.scores import Scores
from tests.leaderboards.fakes import add, answers, example
from workflows.judging import Judges

NORMAL = 1.959964 + 0.841621
"""The standard errors of a difference that is seen at 5 % with a power of 80 %, with many degrees of freedom."""
TRAINED = Side(trained=True, interaction=0.0, judge=math.nan)
FIXED = Side(trained=False, interaction=0.0, judge=math.nan)


def made(**changes: object) -> Components:
    """100 images whose parts have a variance of 400, seeds of 4; one method against the base."""
    values = {
        "pilot": Design(2, 100, 1), "groups": 100, "counted": 100, "image": 400.0, "sides": (TRAINED, FIXED),
        "seed": 4.0, "answered": 0.0, "methods": 10**6, **changes,
    }  # fmt: skip
    return Components(**values)  # type: ignore[arg-type]


def test_the_smallest_difference_by_hand() -> None:
    """Two seeds, 100 images: 400 / 100 + 4 / 2 = 6; four seeds, 400 images: 1 + 1; two methods: 4 + 4 = 8."""
    assert made().smallest(Design(2, 100, 1), 0.05) == pytest.approx(NORMAL * math.sqrt(6), rel=1e-2)
    assert made().smallest(Design(4, 400, 1), 0.05) == pytest.approx(NORMAL * math.sqrt(2), rel=1e-2)
    two = made(sides=(TRAINED, TRAINED))
    assert two.smallest(Design(2, 100, 1), 0.05) == pytest.approx(NORMAL * math.sqrt(8), rel=1e-2)


def test_few_seeds_have_few_degrees_of_freedom() -> None:
    """Satterthwaite: 6^2 / (4^2 / 99 + 2^2 / 1) = 8.65, t(.975) 2.276 and t(.8) .886 there: 3.162 * sqrt(6)."""
    assert made(methods=1).smallest(Design(2, 100, 1), 0.05) == pytest.approx(3.162 * math.sqrt(6), rel=2e-3)


def test_one_seed_says_nothing_of_a_method() -> None:
    assert math.isnan(made().smallest(Design(1, 10_000, 1), 0.05))
    untrained = made(sides=(FIXED, FIXED), seed=math.nan)
    assert untrained.smallest(Design(1, 400, 1), 0.05) == pytest.approx(NORMAL, rel=1e-2), "sqrt(400 / 400) is 1"


def test_holms_first_level_asks_for_more() -> None:
    assert made().smallest(Design(2, 100, 1), 0.05 / 4) > made().smallest(Design(2, 100, 1), 0.05)


def test_judge_runs_and_interaction_fall_with_seeds_and_runs() -> None:
    """(300 + 100 / 2 + 200 / (2 * 1)) / 100 + 4 / 2 = 4.5 + 2; with two judge runs 4 + 2."""
    side = Side(trained=True, interaction=100.0, judge=200.0)
    with_judge = made(image=300.0, sides=(side, Side(trained=False, interaction=0.0, judge=0.0)))
    assert sum(with_judge.over_samples(Design(2, 100, 1))) == 450
    assert sum(with_judge.over_samples(Design(2, 100, 2))) == 400
    shares = with_judge.shares()
    assert shares == pytest.approx({"samples": 3.5 / 6.5, "seeds": 2 / 6.5, "judge_runs": 1 / 6.5})


def test_the_fewest_seeds_then_samples_that_show_it() -> None:
    """7 = 2.8016 * sqrt(V): V is at most 6.243; with two seeds 400 / n + 2, so n is at least 94.3.

    3: V at most 1.147, 4 / k + 400 / n: four seeds, and 2,727 samples, which the benchmark does not have.
    """
    few = needed(made(), 7.0, 0.05, 0.8, 100)
    assert few is not None and (few.design.seeds, few.more_samples) == (2, False)
    assert few.design.samples == pytest.approx(95, abs=3)
    many = needed(made(), 3.0, 0.05, 0.8, 100)
    assert many is not None and (many.design.seeds, many.more_samples) == (4, True)
    assert many.design.samples == pytest.approx(2730, rel=0.02)
    assert needed(made(), 0.01, 0.05, 0.8, 100) is None


MEAN = Metric("mean", ratio("sum", "n", scale=1.0), True, unit="points")


def scores(values: np.ndarray) -> Scores:
    """A row of one number a sample, [seeds, judge runs, samples]; each sample is its own image."""
    full = np.stack([values, np.ones_like(values)], axis=-1)
    ids = tuple(str(i) for i in range(values.shape[2]))
    return Scores(ids, ids, ("sum", "n"), full, np.ones(len(ids), dtype=bool))


def test_components_of_a_simulated_pilot_are_those_it_was_made_with() -> None:
    """8,000 images: image 9 each row, seed by image 4, judge 1; of A minus B 18, 4 and 1 of each side, within 8 %."""
    rng = np.random.default_rng(3)
    rows = []
    for _ in range(2):
        image = 3 * rng.standard_normal((1, 1, 8000))
        interaction = 2 * rng.standard_normal((4, 1, 8000))
        rows.append(scores(image + interaction + rng.standard_normal((4, 3, 8000))))
    pooled = SeedVariance(np.array([0.5]), np.array([0.1]), np.array([6.0]))
    found = components(rows[0], rows[1], MEAN, (True, True), pooled, 2)
    assert found.image == pytest.approx(18, rel=0.08)
    for side in found.sides:
        assert (side.interaction, side.judge) == (pytest.approx(4, rel=0.08), pytest.approx(1, rel=0.08))
    assert (found.seed, found.pilot) == (pytest.approx(0.4), Design(4, 8000, 3))


@pytest.fixture
def db(tmp_path: Path) -> Path:
    example(tmp_path)
    return tmp_path / "results.sqlite"


@pytest.fixture
def varied(tmp_path: Path) -> Path:
    """40 images that differ in how hard they are, the base and two seeds of two methods, 8 points apart."""
    store, rng = Store(tmp_path / "varied.sqlite"), np.random.default_rng(1)
    hard = rng.integers(0, 3, 40)
    add(store, "base", answers([float(x + 1) for x in hard]))
    for method, worse in (("dpo", 0.5), ("dama", 0.2)):
        for seed in (0, 1):
            name = f"{method}-s{seed}"
            store.start_alignment(name, method=method, seed=seed, panel="clean", key=name, config={})
            store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
            add(store, name, answers([float(x + (rng.random() < worse + 0.3 * seed)) for x in hard]))
    return tmp_path / "varied.sqlite"


@pytest.mark.parametrize(("a", "b"), [("dama", "dpo"), ("dama", "base")])
def test_the_pilots_own_design_shows_what_the_comparison_says(varied: Path, a: str, b: str) -> None:
    """One rule for both: the smallest difference of `compare` is that of the plan at the pilot's seeds and samples."""
    planned = dama.plan(a, b, metric="chair", db=varied)
    compared = next(row for row in dama.compare(a, b, db=varied) if row.metric.name == "chair")
    assert planned.pilot.smallest == pytest.approx(compared.difference.smallest_at(0.05))
    assert (planned.pilot.seeds, planned.pilot.samples, planned.pilot.usd) == (2, 40, 0.0)
    assert planned.pilot.answers == (160 if b == "dpo" else 120)
    assert planned.shares["judge_runs"] is None and planned.shares["seeds"] is not None


def test_the_table_has_designs_around_the_pilots(db: Path) -> None:
    planned = dama.plan("dama", "dpo", metric="chair", db=db)
    assert {design.seeds for design in planned} == {2, 3, 5, 8}
    of_two = {design.samples: design.smallest for design in planned if design.seeds == 2}
    assert list(of_two) == [1, 2, 5, 10, 20], "a quarter, half, one, two and four times the five that both scored"
    values = [value for value in of_two.values() if value is not None]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] > 0


def pilot_of(folder: Path, **recorded: int) -> Path:
    """24 images, the base and two seeds of dpo, with what their evaluations recorded of the data."""
    store, rng = Store(folder / "r.sqlite"), np.random.default_rng(1)
    for seed in (0, 1):
        store.start_alignment(f"dpo-s{seed}", method="dpo", seed=seed, panel="clean", key=str(seed), config={})
        store.finish_alignment(f"dpo-s{seed}", status="done", model_dir="m", seconds=1.0)
    for run in ("base", "dpo-s0", "dpo-s1"):
        add(store, run, answers([float(x) for x in rng.integers(0, 3, 24)]), info=recorded)
    return store.path


def shown_plan(db: Path) -> str:
    words = ["plan", "dpo", "--metric", "chair", "--difference", "8", "--db", str(db)]
    return " ".join(CliRunner().invoke(cli, words).stdout.split())


def test_a_pilot_of_a_limit_says_nothing_of_how_many_samples_the_benchmark_has(tmp_path: Path) -> None:
    """24 samples were drawn; designs of 6, 12, 24, 48 and 96. Of 96 none is too many; where that is not recorded, the
    pilot's 24 are named as the pilot's, and of a benchmark with 24 in all, two designs are too many."""
    for folder in "abc":
        (tmp_path / folder).mkdir()
    drawn, unknown, whole = (
        shown_plan(pilot_of(tmp_path / folder, **recorded))
        for folder, recorded in (("a", {"data_size": 96}), ("b", {}), ("c", {"data_size": 24}))
    )
    assert " 48 96 " in drawn and "*" not in drawn
    assert " 48 * 96 * " in unknown and "* more samples than the 24 that the pilot's evaluations have." in unknown
    assert "benchmark has" not in unknown
    assert " 48 * 96 * " in whole and "* more samples than the 24 that the benchmark has." in whole
    planned = dama.plan("dpo", metric="chair", difference=8, db=tmp_path / "a/r.sqlite")
    assert (planned.available, planned.size) == (96, 96)
    assert dama.plan("dpo", metric="chair", db=tmp_path / "b/r.sqlite").size is None


def test_what_cannot_be_planned_is_refused(db: Path, tmp_path: Path) -> None:
    for a, benchmark, metric, said in (
        ("dp", None, None, "Unknown row 'dp'. Did you mean 'dpo'"),
        ("dpo", None, "chai", "Unknown metric of amber 'chai'"),
        ("dpo", "pope", None, "Unknown benchmark that dpo and base were run on 'pope'"),
    ):
        with pytest.raises(UsageError, match=said):
            dama.plan(a, "base", benchmark=benchmark, metric=metric, db=db)
    once = Store(tmp_path / "once.sqlite")
    once.start_alignment("dpo-s0", method="dpo", seed=0, panel="clean", key="k", config={})
    once.finish_alignment("dpo-s0", status="done", model_dir="m", seconds=1.0)
    for run, counts in (("base", [2, 2, 2, 2]), ("dpo-s0", [1, 0, 1, 2])):
        add(once, run, answers(counts))
    with pytest.raises(UsageError, match=r"two training seeds of a method, and dpo has one.*--seed 1"):
        dama.plan("dpo", db=tmp_path / "once.sqlite")


def test_sides_of_different_seeds_count_each_with_its_own(varied: Path) -> None:
    """Two seeds of dama and three of dpo: 1/2 + 1/3, and three degrees of freedom, as in the comparison."""
    store, rng = Store(varied), np.random.default_rng(2)
    store.start_alignment("dpo-s2", method="dpo", seed=2, panel="clean", key="dpo-s2", config={})
    store.finish_alignment("dpo-s2", status="done", model_dir="m", seconds=1.0)
    add(store, "dpo-s2", answers([float(x + (rng.random() < 0.6)) for x in rng.integers(0, 3, 40)]))
    planned = dama.plan("dama", "dpo", metric="chair", db=varied)
    compared = next(row for row in dama.compare("dama", "dpo", db=varied) if row.metric.name == "chair")
    assert planned.pilot.smallest == pytest.approx(compared.difference.smallest_at(0.05))
    assert planned.pilot.answers == 40 * 5
    assert planned.notes == ("the pilot has 2 seeds of dama and 3 of dpo, each counted as they are",)


def test_a_side_of_one_seed_is_refused_although_another_method_has_two(varied: Path) -> None:
    store = Store(varied)
    store.start_alignment("gap-s0", method="gap", seed=0, panel="clean", key="gap-s0", config={})
    store.finish_alignment("gap-s0", status="done", model_dir="m", seconds=1.0)
    add(store, "gap-s0", answers([1.0] * 40))
    for a, b in (("gap", "dpo"), ("dpo", "gap"), ("gap", "base")):
        with pytest.raises(UsageError, match="two training seeds of a method, and gap has one"):
            dama.plan(a, b, metric="chair", db=varied)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("power", 0.5, "above 0.5 and below 1"),
        ("power", 0.2, "above 0.5 and below 1"),
        ("power", 1.0, "above 0.5 and below 1"),
        ("power", math.nan, "above 0.5 and below 1"),
        ("difference", 0.0, "above 0"),
        ("difference", math.inf, "above 0"),
        ("difference", 101.0, "at most 100, the whole range"),
        ("comparisons", 0, "1 to 1,000,000"),
        ("comparisons", 10**20, "1 to 1,000,000"),  # its level is no number of a t distribution any more
        ("judge_runs", 0, "at least 1"),
    ],
)
def test_a_number_that_nothing_is_planned_with_is_refused_in_python_and_the_terminal(
    db: Path, option: str, value: float, expected: str
) -> None:
    """At a power of 0.2 the smallest visible difference would be smaller than what the level alone asks for."""
    flag = f"--{option.replace('_', '-')}"
    said = f"plan: {flag} should be {expected}, found {value}."
    given: dict[str, Any] = {option: value}
    with pytest.raises(UsageError) as refused:
        dama.plan("dama", "dpo", db=db, **given)
    assert str(refused.value) == said
    shown = CliRunner().invoke(cli, ["plan", "dama", "dpo", flag, str(value), "--db", str(db)])
    assert shown.exit_code == 2 and said in " ".join(shown.stderr.split())


def test_the_judges_money_is_that_of_the_pilots_replies(tmp_path: Path) -> None:
    """Six answers in one judge run cost $0.30: five cents each; three seeds of dpo and the base on six: 24 replies."""
    store = example(tmp_path)
    judging = {"asked": "openai:a", "replies": 6, "tokens": {}, "usd": 0.30, "runs": 1}
    for run in ("base", "dpo-s0", "dpo-s1"):
        counts = {"base": [2] * 6, "dpo-s0": [1] * 6, "dpo-s1": [2] * 6}[run]
        add(store, run, answers(counts), judge="openai:a", info={"judging": judging})
    planned = dama.plan("dpo", metric="chair", db=tmp_path / "results.sqlite")
    three = next(d for d in planned if (d.seeds, d.samples) == (3, 6))
    assert (three.judge_calls, three.usd) == (24, pytest.approx(1.20))


def test_the_command_prints_a_table_and_a_sentence(varied: Path) -> None:
    runner = CliRunner()
    arguments = ["plan", "dama", "base", "--metric", "chair", "--difference", "20", "--db", str(varied)]
    shown = runner.invoke(cli, arguments)
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert "Smallest visible difference" in text and "A difference of 20 points in AMBER CHAIR" in text
    printed = json.loads(runner.invoke(cli, [*arguments, "--json"]).stdout)
    assert printed["need"]["smallest"] <= 20 and printed["wanted"] == 20
    assert printed["level"] == 0.05
    holm = json.loads(runner.invoke(cli, [*arguments, "--comparisons", "4", "--json"]).stdout)
    assert holm["level"] == 0.0125 and holm["pilot"]["smallest"] > printed["pilot"]["smallest"]


def test_no_smallest_difference_is_larger_than_what_the_metric_can_differ_by(db: Path) -> None:
    """Six images and two seeds at a millionth of the level: by the formula more than the 100 points of a percentage."""
    arguments = ["plan", "dama", "dpo", "--metric", "chair", "--comparisons", "1000000", "--db", str(db)]
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert found["widest"] == 100 and found["pilot"]["smallest"] > 100
    text = " ".join(CliRunner().invoke(cli, arguments).stdout.split())
    assert "shows none: not detectable at this size: more than the whole range." in text
    assert "> 100: not detectable at this size: more than the whole range." in text
    assert all(
        float(word) <= 100 for word in text.partition("Seeds")[2].partition("The pilot")[0].split() if "." in word
    )
    usual = " ".join(CliRunner().invoke(cli, [*arguments[:5], "--db", str(db)]).stdout.split())
    assert "not detectable" not in usual
    mentions = dama.plan("dama", "dpo", metric="mentions", db=db)
    assert mentions.widest is None, "counts have no range"


def test_a_price_file_that_cannot_be_read_is_refused_where_no_judge_has_a_price(db: Path, tmp_path: Path) -> None:
    """AMBER is scored by rule: nothing is priced, but that the file was given says what its giver expects."""
    bad = tmp_path / "prices.yaml"
    bad.write_text("gpt-4o: {input: cheap, output: 1}\n")
    with pytest.raises(UsageError, match=r"prices\.yaml: gpt-4o: expected \{input: X, output: Y\}"):
        dama.plan("dama", "dpo", prices=bad, db=db)
    with pytest.raises(UsageError, match="gpt-4o: expected"):
        Judges.of("rule", {}, prices=str(bad))
    bad.write_text("gpt-4o: {input: 1, output: 1}\n")
    assert dama.plan("dama", "dpo", prices=bad, db=db).pilot.usd == 0.0
