from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.errors import HarnessError, UsageError
from harness.protocols.judge import Reply
from harness.protocols.progress import silent
from harness.store import Store
from harness.util.options import read_yaml
from recipes import RECIPES
from tests.tiny import tiny_amber, tiny_llava, tiny_pairs
from workflows.ablate import _finished, ablate, bases_of
from workflows.ablation import Ablation, Job, Method, jobs, read_ablation, sweep
from workflows.ablation_jobs import kept, matched_beta, resolved
from workflows.ablation_outcome import Outcome, Shortfall
from workflows.ablation_plan import plan
from workflows.benched import wanted_of
from workflows.eval_models import EvalModel
from workflows.purse import Purse
from workflows.settings import route


def test_every_row_is_crossed_with_panels_seeds_and_swept_settings() -> None:
    ablation = read_ablation(
        {
            "methods": [{"method": "dpo"}, {"method": "dama", "set": {"combine": ["product", "max"], "keep": 0.9}}],
            "panels": [{"name": "clean", "set": {"label_noise": 0.0}}, {"name": "noisy", "set": {"label_noise": 0.3}}],
            "seeds": [0, 1],
            "common": {"epochs": 2},
        }
    )
    found = jobs(ablation, "r.sqlite")
    assert len(found) == 2 * 2 * 3
    assert len({job.name for job in found}) == len(found)
    last = found[-1]
    assert (last.label, last.panel) == ("dama combine=max", "noisy")
    assert last.settings == {
        "epochs": 2, "label_noise": 0.3, "combine": "max", "keep": 0.9, "method": "dama", "seed": 1,
    }  # fmt: skip


def test_every_run_is_made_from_each_base_in_a_panel_of_its_own() -> None:
    recipe = {
        "methods": [{"method": "dpo"}],
        "panels": [{"name": "clean"}, {"name": ""}],
        "seeds": [4],
        "bases": [0, 2],
    }
    found = jobs(read_ablation(recipe), "r.sqlite")
    assert [(job.name, job.panel, job.settings["sft_seed"]) for job in found] == [
        ("dpo-clean-b0-s4", "clean, base model 0", 0),
        ("dpo-clean-b2-s4", "clean, base model 2", 2),
        ("dpo-b0-s4", "base model 0", 0),
        ("dpo-b2-s4", "base model 2", 2),
    ]
    bases = bases_of(read_ablation(recipe), silent, built=False)
    assert [base.run for base in bases] == ["base-b0", "base-b2"] and bases[0].spec != bases[1].spec
    assert bases_of(read_ablation({**recipe, "bases": []}), silent, built=False) == [EvalModel("base", bases[0].spec)]


@pytest.mark.parametrize("setting", ["sft_seed", "world.sft_seed", "model"])
def test_a_base_beside_the_bases_is_refused(setting: str) -> None:
    recipe = {"methods": [{"method": "dpo"}], "bases": [0, 1], "common": {setting: 1}}
    with pytest.raises(UsageError, match=f"{setting} is set beside bases"):
        read_ablation(recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        {"methods": [{"method": "dama", "set": {"keep": 0.8}}, {"method": "dama", "set": {"keep": 0.5}}], "seeds": [0]},
        {"methods": [{"method": "dama"}], "seeds": [0, 0]},
    ],
)
def test_two_runs_of_one_name_are_refused_since_only_one_would_be_made(recipe: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"dama-s0: more than one run of this name\. Give each row of methods a label"):
        jobs(read_ablation(recipe), "r.sqlite")


def test_a_single_value_is_not_part_of_the_label() -> None:
    assert list(sweep(Method(method="gap", set={"keep": 0.5}))) == [("gap", {"keep": 0.5})]


@pytest.mark.parametrize("name", ["demo.yaml", "ablation.yaml", "tuning.yaml"])
def test_the_recipes_that_are_shipped_name_things_that_exist(name: str) -> None:
    from aligners.objective import ALIGNERS
    from aligners.pair_hardness.hardness import HardnessConfig
    from aligners.training.config import AlignConfig
    from tinyworld.build import WorldConfig

    for job in jobs(read_ablation(read_yaml(RECIPES / name)), "r.sqlite"):
        method = ALIGNERS.get(str(job.settings["method"]))
        kinds: dict[str, type[Any]] = {
            "train": AlignConfig,
            "objective": method,
            "hardness": HardnessConfig,
            "world": WorldConfig,
        }
        route({k: v for k, v in job.settings.items() if k != "method"}, kinds, "align")


def test_a_row_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'sets'.*Did you mean 'set'"):
        read_ablation({"methods": [{"method": "dpo", "sets": {}}]})


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"methods": [{"method": "dpo", "set": [1]}]}, "methods: set=.*expected a mapping"),
        ({"methods": [{"method": "dpo", "set": {"lr": []}}]}, r"dpo: lr=\[\]: expected values to sweep"),
        ({"methods": []}, "methods: expected at least one"),
        ({"methods": [{"label": "dpo"}]}, "method: expected a value, none is given"),
        ({"methods": [{"method": "dpo"}], "seeds": []}, "seeds: expected at least one"),
        ({"methods": [{"method": "dpo"}], "seeds": [-1]}, "seeds=-1: expected a whole number from 0"),
        ({"methods": [{"method": "dpo", "set": {"seed": 3}}]}, "seed is set beside seeds"),
        ({"methods": [{"method": "dpo"}], "panels": ["clean"]}, "panels='clean': expected a mapping of name, "),
        ({"methods": [{"method": "dpo"}], "limit": 0}, "limit=0: expected"),
        ({"methods": [{"method": "dpo"}], "eos_biases": [float("nan")]}, "eos_biases=nan: expected a finite number"),
        ({}, "methods: expected a value, none is given"),
        (
            {"methods": [{"method": "dpo"}, {"method": "dmaa"}]},
            r"methods: Unknown aligner 'dmaa'\. Did you mean 'dama'",
        ),
        ({"methods": [{"method": "dpo"}], "suite": "halucination"}, r"suite: Unknown suite .*Did you mean 'halluc"),
        ({"methods": [{"method": "dpo"}], "benchmarks": ["ambr"]}, r"benchmarks: Unknown benchmark 'ambr'.*'amber'"),
    ],
)
def test_a_recipe_that_plans_other_runs_than_it_says_is_refused(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jobs(read_ablation(recipe), "r.sqlite")


def test_an_empty_set_sets_nothing() -> None:
    (planned,) = jobs(read_ablation({"methods": [{"method": "dpo", "set": None}], "seeds": [0]}), "r.sqlite")
    assert planned.settings == {"method": "dpo", "seed": 0}


def job(store: Store) -> Job:
    ablation = read_ablation({"methods": [{"method": "dpo", "label": "control", "match": "dama"}], "seeds": [1]})
    return jobs(ablation, str(store.path))[0]


def test_a_control_takes_the_mean_effective_beta_of_its_twin(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    for seed, betas in ((0, [0.3, 0.3]), (1, [0.1, 0.2])):
        log = store.start_alignment(f"dama-s{seed}", method="dama", seed=seed, panel="", key="k", config={})
        for step, beta in enumerate(betas, start=1):
            log.log_step(step, {"beta_mean": beta})
        store.finish_alignment(f"dama-s{seed}", status="done", model_dir="m", seconds=1)
    assert matched_beta(store, job(store)) == pytest.approx(0.15)


def test_a_control_without_its_twin_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    with pytest.raises(HarnessError, match="no finished run labelled 'dama'"):
        matched_beta(store, job(store))


class Inline:
    """A pool that runs what it is given at once, in this process."""

    def submit(self, work: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*arguments))
        except HarnessError as error:
            future.set_exception(error)
        return future

    def finished(self, futures: Any, progress: Any) -> Any:
        return iter(futures)


def test_a_budget_is_shared_by_all_runs_and_the_next_is_not_begun_when_it_is_spent(tmp_path: Path) -> None:
    """Each run spends what it is given up to 0.4 USD: gpt-4o-mini takes 0.6 USD for a million completion tokens."""
    store, given = Store(tmp_path / "r.sqlite"), dict[str, float]()
    values = {"methods": [{"method": "dpo"}], "benchmarks": ["mmhal"], "data_dir": str(tmp_path), "budget": 1.0}
    ablation = read_ablation({**values, "judge": "openai:gpt-4o-mini@http://127.0.0.1:9/v1"})

    def spend(usd: float, run: str) -> None:
        tokens = {"prompt_tokens": 0, "completion_tokens": round(usd / 0.6 * 1e6)}
        reply = Reply("Rating: 3", "gpt-4o-mini", usage=tokens)
        store.save_reply("openai:gpt-4o-mini", "http://127.0.0.1:9/v1", run, 0, 0, reply)

    spend(5.0, "of an earlier day")
    purse, outcome = Purse(store, ablation, wanted_of(ablation)), Outcome()

    def work(run: str, left: Ablation) -> list[Shortfall]:
        assert left.budget is not None
        given[run] = round(left.budget, 6)
        spend(min(0.4, left.budget), run)
        if run == "b":
            raise HarnessError("its training failed after it was judged")
        return []

    tasks: dict[str, Any] = {run: lambda left, run=run: (work, run, left) for run in "abcde"}
    ended = [run for run, _ in _finished(Inline(), tasks, ablation, purse, outcome, silent)]  # type: ignore[arg-type]
    assert given == {"a": 1.0, "b": 0.6, "c": 0.2}
    assert (ended, outcome.unpaid) == (["a", "b", "c"], ["d", "e"])


def test_a_run_that_the_budget_cut_is_the_last_that_is_begun(tmp_path: Path) -> None:
    values = {"methods": [{"method": "dpo"}], "benchmarks": ["mmhal"], "data_dir": str(tmp_path), "budget": 1.0}
    ablation = read_ablation({**values, "judge": "openai:gpt-4o-mini@http://127.0.0.1:9/v1"})
    outcome = Outcome()
    purse = Purse(Store(tmp_path / "r.sqlite"), ablation, wanted_of(ablation))
    cut = Shortfall("a on mmhal: 3 of 9 scored (6 failed: budget: $0.9999 of $1 spent)", unpaid=True)
    tasks: dict[str, Any] = {run: lambda left: (list, [cut]) for run in "ab"}
    for _, future in _finished(Inline(), tasks, ablation, purse, outcome, silent):  # type: ignore[arg-type]
        outcome.incomplete += future.result()
    assert (outcome.incomplete, outcome.unpaid) == ([cut], ["b"])


@pytest.mark.parametrize(
    ("judge", "benchmark", "message"),
    [
        (None, "amber", "only a judge that costs money has one"),
        ("openai:unheard-of@https://judge.example/v1", "mmhal", "needs the price of unheard-of"),
    ],
)
def test_a_budget_that_cannot_be_counted_is_refused(
    tmp_path: Path, judge: str | None, benchmark: str, message: str
) -> None:
    values = {"methods": [{"method": "dpo"}], "benchmarks": [benchmark], "data_dir": str(tmp_path), "budget": 1.0}
    ablation = read_ablation({**values, "judge": judge})
    with pytest.raises(UsageError, match=message):
        Purse(Store(tmp_path / "r.sqlite"), ablation, wanted_of(ablation))


def test_a_limit_is_of_every_benchmark() -> None:
    ablation = read_ablation({"methods": [{"method": "dpo"}], "benchmarks": ["mmhal", "pope"], "limit": 3})
    assert [item.limit for item in wanted_of(ablation)] == [3, 3]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Two methods and a control of one of them, two seeds, on a user's own tiny model, pairs and AMBER data."""
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    tiny_amber(tmp_path / "amber")
    model, data = tiny_llava(tmp_path / "model"), tiny_pairs(tmp_path, count=16)
    return {
        "methods": [{"method": "dpo"}, {"method": "gap"}, {"method": "dpo", "label": "control", "match": "gap"}],
        "common": {"model": str(model), "data": str(data), "batch_size": 4, "device": "cpu"},
        "benchmarks": ["amber"],
        "data_dir": str(tmp_path),
    }


def test_a_dry_run_counts_what_is_not_stored_and_makes_no_results_file(own: dict[str, Any], tmp_path: Path) -> None:
    db, recipe = tmp_path / "r.sqlite", read_ablation(own)
    found = plan(recipe, str(db), device="auto")
    assert not db.exists()
    assert [row["run"] for row in found["runs"]] == ["base", *(job.name for job in jobs(recipe, str(db)))]
    assert {(row["steps"], row["generations"], row["judge_calls"]) for row in found["runs"][1:]} == {(4, 4, 0)}
    assert (found["total"]["to align"], found["total"]["steps"], found["total"]["generations"]) == (6, 24, 28)
    assert found["total"]["usd"] == 0.0 and found["total"]["TFLOP of training"] > 0

    store, first = Store(db), jobs(recipe, str(db))[0]
    spec = resolved(store, first, "auto")
    store.start_alignment(spec.name, method="dpo", seed=0, panel="", key=spec.key, config=spec.record)
    store.finish_alignment(spec.name, status="done", model_dir=str(tmp_path / "model"), seconds=1.0)
    again = plan(dataclasses.replace(recipe, limit=3), str(db), device="auto")
    assert (again["runs"][1]["aligned"], again["runs"][1]["steps"], again["runs"][1]["generations"]) == (True, None, 3)
    assert (again["total"]["to align"], again["total"]["steps"], again["total"]["generations"]) == (5, 20, 21)


def test_a_dry_run_says_that_the_embedded_world_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    words = ["ablate", "--recipe", "demo", "--dry-run", "--db", str(tmp_path / "r.sqlite")]
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, list(tmp_path.iterdir())) == (0, []), done.output
    assert "all 25" in done.stdout and "24 to do" in done.stdout
    assert "the embedded world is built first, which takes minutes" in done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"methods": [{"method": "dpo", "set": {"btea": 1}}]}, r"'btea'\. Did you mean 'beta'"),
        (
            {"methods": [{"method": "gap"}, {"method": "dpo", "label": "c", "match": "gapp"}]},
            "'gapp'. Did you mean 'gap'",
        ),
        ({"common": {"model": "run:nobody", "data": "pairs.jsonl"}}, "Unknown run 'nobody'"),
        ({"data_dir": "elsewhere"}, "elsewhere: no such directory"),
        ({"benchmarks": ["mmhal"]}, "mmhal is scored by a judge: name one"),
        ({"judge": "opnai:gpt"}, "Unknown judge 'opnai'. Did you mean 'openai'"),
    ],
)
def test_what_every_run_would_end_in_is_said_before_anything_is_built(
    own: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    wrong, db = read_ablation({**own, **change}), tmp_path / "r.sqlite"

    def built(step: str, done: int, total: int, note: str = "") -> None:
        raise AssertionError(f"{step} was begun")

    with pytest.raises(UsageError, match=message):
        ablate(wrong, str(db), device="cpu", log=print, progress=lambda done, total: None, steps=built)
    with pytest.raises(UsageError, match=message):
        plan(wrong, str(db), device="cpu")
    assert not Store(db).alignments()


def test_an_interruption_counts_the_runs_of_these_settings_not_those_of_the_same_name(
    own: dict[str, Any], tmp_path: Path
) -> None:
    """Six runs: one is done, one was begun; one is done with another learning rate, one was begun with it."""
    store, planned = Store(tmp_path / "r.sqlite"), jobs(read_ablation(own), str(tmp_path / "r.sqlite"))
    begun = [("", "done"), ("", "failed"), ("other", "done"), ("other", "failed")]
    for job, (other, status) in zip(planned, begun, strict=False):
        key, model = resolved(store, dataclasses.replace(job, match=None), "cpu").key + other, str(tmp_path / "model")
        store.start_alignment(job.name, method="x", seed=0, panel="", key=key, config={"checkpoint_every": 0})
        store.finish_alignment(job.name, status=status, model_dir=model, seconds=1.0)
    said = kept(store, planned, "cpu")
    assert [job.name for job in planned[:2]] == ["dpo-s0", "gap-s0"]
    assert said.splitlines()[0].startswith("1 of 6 alignments are done")
    assert [line.split(":")[0].strip() for line in said.splitlines()[1:]] == ["gap-s0"]
