"""Which runs are averaged, which is their base: nothing but the seed may differ between the seeds of a row."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from aligners.pair_hardness.hardness import HardnessConfig
from aligners.training.config import AlignConfig
from harness.errors import UsageError
from harness.protocols.benchmark import Verdict
from harness.store import Store
from harness.store.alignments import AlignmentLog
from leaderboards.comparison import load_comparison
from leaderboards.page.html import render_html
from leaderboards.page.samples import Chunks
from leaderboards.rows import Table, build_tables
from leaderboards.run_groups import EXECUTION_SETTINGS, current_evaluations, run_groups, training_times
from leaderboards.selection import Selection
from leaderboards.snapshot import Snapshot
from leaderboards.text import condition_text, condition_titles
from leaderboards.view import View
from tests.leaderboards.fakes import add, answers, snapshot
from workflows.eval_models import resolve_models

TRAINING = {"model": "llava-7b", "data": "pairs.jsonl", "lr": 1e-6, "epochs": 1, "micro_batch": 8}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results.sqlite")


def align(store: Store, name: str, method: str = "dpo", *, label: str = "", panel: str = "", **settings: Any) -> None:
    """A finished alignment and its evaluation; ``objective`` and ``hardness`` among the settings are mappings."""
    config = {**TRAINING, "method": method, "objective": {"beta": 0.1}, "hardness": {"clip": "hub:a/b"}, **settings}
    seed = settings.get("seed", 0)
    store.start_alignment(name, method=label or method, seed=seed, panel=panel, key=name, config=config)
    store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
    add(store, name, answers([1] * 6))


def labels(store: Store) -> dict[str, tuple[str, str]]:
    return {name: (a.panel, a.method) for name, a in run_groups(store.alignments()).alignments.items()}


def tables(store: Store) -> dict[str, Table]:
    built = build_tables(snapshot(store), resamples=50)
    return {table.panel: table for table in built}


def test_runs_that_differ_in_the_seed_and_in_how_they_were_carried_out_are_seeds(store: Store) -> None:
    align(store, "a")
    align(store, "b", seed=1, micro_batch=1, device="cuda", workers=4)
    (table,) = tables(store).values()
    assert [(row.label, row.runs) for row in table.rows] == [("dpo", ("a", "b"))]


def test_another_learning_rate_is_no_seed_for_any_method(store: Store) -> None:
    align(store, "a")
    align(store, "b", lr=1e-5)
    align(store, "c", "dama", lr=1e-5)
    assert [label for _, label in labels(store).values()] == ["dpo", "dpo lr=1e-05", "dama lr=1e-05"]


def test_an_objectives_settings_are_told_against_its_own_first_run(store: Store) -> None:
    align(store, "a")
    align(store, "b", "gap", objective={"beta": 0.5, "variant": "paper"})
    align(store, "c", "gap", objective={"beta": 0.5, "variant": "code"}, hardness={"clip": "hub:c/d"})
    align(store, "d", "gap", objective={"beta": 0.5, "variant": "paper"}, hardness={"clip": "hub:c/b"})
    assert [label for _, label in labels(store).values()] == [
        "dpo", "gap", "gap variant=code clip=d", "gap clip=hub:c/b",
    ]  # fmt: skip


def test_settings_that_an_older_version_did_not_record_say_nothing(store: Store) -> None:
    align(store, "a")
    align(store, "b", seed=1, quantize="none")
    assert {label for _, label in labels(store).values()} == {"dpo"}


def test_the_same_seed_once_more_is_not_averaged(store: Store) -> None:
    align(store, "a")
    align(store, "again")
    assert [label for _, label in labels(store).values()] == ["dpo", "dpo run=again"]


def test_a_label_that_was_given_is_kept(store: Store) -> None:
    align(store, "a", label="dpo at gap's beta", objective={"beta": 0.07})
    align(store, "b", label="dpo at gap's beta", objective={"beta": 0.09}, seed=1)
    (table,) = tables(store).values()
    assert [(row.label, len(row.runs)) for row in table.rows] == [("dpo at gap's beta", 2)]


def test_other_models_and_unnamed_data_have_panels_of_their_own(store: Store) -> None:
    align(store, "a")
    align(store, "b", model="org/qwen")
    align(store, "c", data="other/more.jsonl")
    align(store, "n0", panel="noisy", data="noisy-0.jsonl")
    align(store, "n1", panel="noisy", data="noisy-1.jsonl", seed=1)
    assert {name: panel for name, (panel, _) in labels(store).items()} == {
        "a": "model llava-7b · data pairs.jsonl",
        "b": "model qwen · data pairs.jsonl",
        "c": "model llava-7b · data more.jsonl",
        "n0": "noisy",
        "n1": "noisy",
    }


def test_models_whose_names_end_alike_are_told_apart(store: Store) -> None:
    align(store, "a", model="one/base")
    align(store, "b", model="two/base")
    assert [panel for panel, _ in labels(store).values()] == ["model one/base", "model two/base"]


def test_the_model_that_a_panel_started_from_is_its_base_whatever_its_run_is_called(store: Store) -> None:
    align(store, "a")
    align(store, "b", model="org/qwen")
    for run, model in (("llava-7b", "hf:llava-7b/"), ("q", "hf:org/qwen"), ("gpt", "openai:gpt")):
        add(store, run, answers([2] * 6), alignment=None, model=model)
    found = {panel: {row.label: row.runs for row in table.rows} for panel, table in tables(store).items()}
    assert found == {
        "model llava-7b": {"base": ("llava-7b",), "dpo": ("a",), "gpt": ("gpt",)},
        "model qwen": {"base": ("q",), "dpo": ("b",), "gpt": ("gpt",)},
    }


def test_a_model_below_adapters_that_runs_started_from_is_shown_beside_those_runs_alone(store: Store) -> None:
    """llava is the base of the adapter that run a started from: no row of the panel of another model."""
    align(store, "a", model="org/llava+me/sft")
    align(store, "b", model="org/qwen")
    below = [("llava", "hf:org/llava"), ("dora", "hf:org/llava+me/dora"), ("sft", "hf:org/llava+me/sft")]
    for run, model in (*below, ("gpt", "openai:gpt")):
        add(store, run, answers([2] * 6), alignment=None, model=model)
    found = {panel: [row.label for row in table.rows] for panel, table in tables(store).items()}
    assert found == {"model sft": ["base", "dpo", "dora", "gpt", "llava"], "model qwen": ["dpo", "gpt"]}


def test_models_beside_a_panel_of_which_nothing_was_evaluated_make_no_table(store: Store) -> None:
    align(store, "a")
    unscored = {**TRAINING, "model": "org/qwen", "method": "dpo"}
    store.start_alignment("b", method="dpo", seed=0, panel="", key="b", config=unscored)
    store.finish_alignment("b", status="done", model_dir="m", seconds=1.0)
    for benchmark in ("amber", "pope"):  # on pope nothing of either panel was evaluated
        add(store, f"gpt-{benchmark}", answers([2] * 6), alignment=None, model="openai:gpt", benchmark=benchmark)
    built = build_tables(snapshot(store), resamples=50)
    assert [(table.panel, [row.label for row in table.rows]) for table in built] == [
        ("model llava-7b", ["dpo", "gpt-amber"]),
        ("model llava-7b", ["gpt-pope"]),
    ]


def test_of_two_evaluations_of_the_base_the_newest_stands(store: Store) -> None:
    align(store, "a")
    add(store, "base", answers([2] * 6), alignment=None, model="hf:llava-7b")
    add(store, "llava-7b", answers([0] * 6), alignment=None, model="hf:llava-7b")
    (table,) = tables(store).values()
    assert (table.rows[0].label, table.rows[0].runs, table.rows[0].cells["chair"].value) == ("base", ("llava-7b",), 0)


def test_an_evaluation_without_scores_does_not_stand_in_place_of_one_with_scores_and_is_named(store: Store) -> None:
    failed = {str(i): Verdict({}, error="judge: no reply") for i in range(6)}
    align(store, "a")
    add(store, "a", answers([2] * 6))
    scored = tables(store)[""].rows
    add(store, "a", failed, key="other answers")
    add(store, "b", failed, alignment=None, model="hf:b")
    (table,) = tables(store).values()
    shown = {row.runs: (row.n_scored, row.n_failed) for row in table.rows}
    assert shown[("a",)] == (6, 0) == (scored[0].n_scored, scored[0].n_failed)
    assert shown[("b",)] == (0, 6), "nothing else stands for it"
    (said,) = snapshot(store).left_out.values()
    assert said.startswith("a on amber: nothing was scored the last time (6 of 6 failed); the figures are of the")
    add(store, "a", answers([0] * 6), key="once more")
    assert not snapshot(store).left_out


def test_a_poorer_evaluation_does_not_stand_in_place_of_a_better_one_of_the_same_model_and_is_named(
    store: Store,
) -> None:
    failing = {str(i): Verdict({}, error="judge: no reply") for i in range(1, 6)}
    align(store, "a")
    add(store, "a", answers([2] * 6))
    add(store, "a", answers([0]) | failing, key="its judge was down")
    (table,) = tables(store).values()
    assert (table.rows[-1].n_scored, table.rows[-1].n) == (6, 6)
    (said,) = snapshot(store).left_out.values()
    assert said.startswith("a on amber: only 1 of 6 samples were scored the last time (5 of 6 failed); the figures are")
    add(store, "a", answers([0]) | failing, key="another model of that name", model_key="other")
    (table,) = tables(store).values()
    assert (table.rows[-1].n_scored, table.rows[-1].n) == (1, 6), "the figures of another model are not its own"


def test_a_row_is_compared_with_the_dpo_that_was_trained_as_it_was(store: Store) -> None:
    align(store, "a")
    align(store, "b", lr=1e-5)
    align(store, "c", "dama", objective={"beta": 0.1, "combine": "product"})
    align(store, "d", "dama", lr=1e-5, objective={"beta": 0.1, "combine": "sum"})
    align(store, "dd", "dama", lr=1e-5, objective={"beta": 0.1, "combine": "sum"})
    align(store, "e", "dama", lr=1e-4)
    align(store, "f", "gap", label="gap at 1e-5", lr=1e-5)
    add(store, "base", answers([2] * 6), alignment=None, model="hf:llava-7b")
    (table,) = tables(store).values()
    assert {row.label: row.references.get("dpo") for row in table.rows} == {
        "base": "dpo",
        "dpo": None,
        "dpo lr=1e-05": "dpo",
        "dama": "dpo",
        "dama lr=1e-05 combine=sum": "dpo lr=1e-05",
        "dama lr=1e-05 combine=sum run=dd": "dpo lr=1e-05",
        "dama lr=0.0001": None,
        "gap at 1e-5": "dpo lr=1e-05",
    }
    assert all(row.references.get("base") == "base" for row in table.rows if row.label != "base")


def test_compare_knows_the_base_by_that_name(store: Store) -> None:
    align(store, "a")
    add(store, "llava-7b", answers([2] * 6), alignment=None, model="hf:llava-7b")
    assert chair(store, "a", "base") == -25.0
    align(store, "b", model="org/qwen")
    add(store, "q", answers([4] * 6), alignment=None, model="hf:org/qwen")
    assert (chair(store, "a", "base"), chair(store, "b", "base")) == (-25.0, -75.0)
    with pytest.raises(UsageError, match="write one of llava-7b, q"):
        load_comparison(Snapshot(store), "base", "llava-7b")


def test_a_run_that_is_only_called_base_is_none(store: Store) -> None:
    align(store, "b", model="org/qwen")
    add(store, "q", answers([4] * 6), alignment=None, model="hf:org/qwen")
    add(store, "base", answers([0] * 6), alignment=None, model="replay:base.jsonl")
    (table,) = tables(store).values()
    assert next((row.label, row.runs) for row in table.rows) == ("base", ("q",))
    assert "replay:base.jsonl" in [row.label for row in table.rows]
    assert (chair(store, "b", "base"), chair(store, "b", "q")) == (-75.0, -75.0)


def chair(store: Store, a: str, b: str) -> float:
    return next(c.difference.value for c in load_comparison(Snapshot(store), a, b) if c.metric.name == "chair")


def test_a_path_is_the_same_however_it_is_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("llava", "pairs.jsonl"):
        (tmp_path / name).mkdir()
    align(store, "a", model="llava", data="pairs.jsonl")
    align(store, "b", model=f"hf:{tmp_path}/llava/", data="./pairs.jsonl", seed=1)
    add(store, "x", answers([2] * 6), alignment=None, model="hf:./llava")
    (table,) = tables(store).values()
    assert [(row.label, row.runs) for row in table.rows] == [("base", ("x",)), ("dpo", ("a", "b"))]


def test_runs_on_pairs_that_were_changed_in_between_are_no_seeds_of_one_method(store: Store) -> None:
    for seed, (name, pairs) in enumerate((("a", "0a1b2c3d"), ("b", "0a1b2c3d"), ("c", "ffee0011"))):
        align(store, name, seed=seed)
        AlignmentLog(store, name).log_info({"data": {"hash": pairs}})
    assert [labels(store)[name] for name in "abc"] == [("", "dpo"), ("", "dpo"), ("", "dpo data=ffee00")]


def test_a_run_that_failed_names_no_panel(store: Store) -> None:
    align(store, "a")
    config = {**TRAINING, "model": "llava-7", "lr": 9.0}
    store.start_alignment("typo", method="dpo", seed=0, panel="", key="k", config=config)
    store.finish_alignment("typo", status="failed", model_dir="", seconds=0.0)
    assert list(tables(store)) == [""]
    assert labels(store)["a"] == ("", "dpo")


def test_a_run_that_was_aligned_and_not_benchmarked_is_no_unknown_name(store: Store) -> None:
    align(store, "a")
    for name, method, status in (("b", "dama", "done"), ("c", "ipo", "failed")):
        config = {**TRAINING, "method": method}
        store.start_alignment(name, method=method, seed=0, panel="", key=name, config=config)
        store.finish_alignment(name, status=status, model_dir="m", seconds=1.0)
    for name in ("b", "dama"):
        with pytest.raises(UsageError, match=rf"{name} was aligned and has no evaluation: .*bench --model run:b"):
            load_comparison(Snapshot(store), "a", name)
        with pytest.raises(UsageError, match=rf"{name} was aligned and has no evaluation: .*bench --model run:b"):
            snapshot = Snapshot(store)
            Selection(runs=(name,)).require_known(snapshot.all_stored, snapshot.all_groups)
    for name in ("c", "damma"):
        with pytest.raises(UsageError, match=f"Unknown run or method '{name}'"):
            load_comparison(Snapshot(store), "a", name)


def test_figures_of_a_run_that_was_aligned_anew_are_left_out_until_it_is_benchmarked_again(store: Store) -> None:
    align(store, "a")
    align(store, "b", seed=1)
    add(store, "base", answers([2] * 6), alignment=None, model="hf:llava-7b")
    config = {**TRAINING, "method": "dpo", "seed": 1}
    time.sleep(0.002)  # the store's clock has milliseconds
    store.start_alignment("b", method="dpo", seed=1, panel="", key="new", config=config)
    store.finish_alignment("b", status="done", model_dir="m", seconds=1.0)
    (table,) = tables(store).values()
    assert [row.runs for row in table.rows] == [("base",), ("a",)]
    assert Snapshot(store).stale == {"b": ["amber"]}
    with pytest.raises(UsageError, match="bench --model run:b"):
        load_comparison(Snapshot(store), "b", "base")
    assert "was aligned anew since amber" in render_html(View(Snapshot(store)), Chunks(None, 10**7))

    time.sleep(0.002)
    add(store, "b", answers([1] * 6), model_key="new")
    (table,) = tables(store).values()
    assert [row.runs for row in table.rows] == [("base",), ("a", "b")] and not Snapshot(store).stale
    assert [
        e.model_key for e in current_evaluations(store.evaluations(), run_groups(store.alignments())) if e.run == "b"
    ] == ["new"]


def test_what_does_not_tell_runs_apart_are_settings_that_exist() -> None:
    assert EXECUTION_SETTINGS - {"heldout"} <= {f.name for kind in (AlignConfig, HardnessConfig) for f in fields(kind)}


def test_a_model_with_a_name_of_its_own_does_not_stand_for_base_or_for_its_alignment(store: Store) -> None:
    align(store, "dpo-s0")
    add(store, "base", answers([2] * 6), model="hf:llava-7b", alignment=None)
    given = {"info": {"named": True, "loading": {"quantization": "4bit"}}}
    add(store, "base in 4 bits", answers([3] * 6), model="hf:llava-7b", alignment=None, **given)
    add(store, "dpo in 4 bits", answers([3] * 6), model="run:dpo-s0", alignment="dpo-s0", **given)
    (table,) = tables(store).values()
    named = {row.label: row.runs for row in table.rows}
    assert named.pop("base") == ("base",) and named.pop("dpo") == ("dpo-s0",)
    assert named == {name: (name,) for name in ("base in 4 bits", "dpo in 4 bits")}


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"loading": {"template": "{{ 1 }}", "system": "Say nothing."}}, "model.system=Say nothing."),
        ({"loading": {"dtype": "bfloat16", "batch_size": 8}}, "model.dtype=bfloat16"),
        ({"loading": {"extra_body": {"top_k": 1}}}, 'model.extra_body={"top_k": 1}'),
    ],
)
def test_a_base_that_was_asked_another_way_has_a_table_of_its_own(
    store: Store, info: dict[str, Any], words: str
) -> None:
    align(store, "dpo-s0")
    base: dict[str, Any] = {"model": "hf:llava-7b", "alignment": None}
    add(store, "base", answers([2] * 6), **base, info={"loading": {"batch_size": 4, "dtype": "auto"}})
    add(store, "base", answers([0] * 6), **base, info=info)
    plain, other = build_tables(snapshot(store), resamples=50)
    assert {row.label: row.cells["chair"].value for row in plain.rows} == {"base": 50.0, "dpo": 25.0}
    assert [row.label for row in other.rows] == ["base"]
    assert words in condition_text(other.condition) and "model." not in condition_text(plain.condition)
    assert len(set(condition_titles([plain.condition, other.condition]).values())) == 2


def test_a_model_asked_as_it_was_trained_stands_beside_a_base_that_is_asked_so(store: Store) -> None:
    asked = {"system": "Be brief."}
    align(store, "dpo-s0")
    add(store, "dpo-s0", answers([1] * 6), info={"loading": {}, "asked": asked})
    add(store, "base", answers([2] * 6), model="hf:llava-7b", alignment=None, info={"loading": asked, "asked": asked})
    assert [row.label for row in build_tables(snapshot(store), resamples=50)[-1].rows] == ["base", "dpo"]


def test_an_adapter_named_by_its_directory_again_is_the_same_row(store: Store, tmp_path: Path) -> None:
    adapter = tmp_path / "sft"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    add(store, "sft", answers([1] * 6), model=f"hf:owner/base+{adapter}", alignment=None)
    assert [m.run for m in resolve_models(store, [str(adapter)], None)] == ["sft"]
    other = tmp_path / "b" / "sft"
    shutil.copytree(adapter, other)
    assert [m.run for m in resolve_models(store, [str(other)], None)] == [str(other)]


def test_training_is_compared_by_its_steps_alone_or_else_by_whole_runs(store: Store) -> None:
    for name, info in (("dpo", {"training_seconds": 0.25}), ("dama", {"training_seconds": 0.75}), ("older", {})):
        store.start_alignment(name, method=name, seed=0, panel="", key=name, config={}).log_info(info)
        store.finish_alignment(name, status="done", model_dir="m", seconds=2.0)
    assert training_times(store.alignments()) == {"dpo": 2.0, "dama": 2.0, "older": 2.0}
    assert training_times([a for a in store.alignments() if a.name != "older"]) == {"dpo": 0.25, "dama": 0.75}
