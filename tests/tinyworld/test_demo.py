"""The main job on a world of a few dozen scenes: align, benchmark, leaderboard, all through the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from cli import cli
from harness.errors import UsageError
from harness.store import Store
from harness.util.pool import Pool
from leaderboards.charts.plots import save
from tests.tinyworld.conftest import SMALL
from tinyworld.build import World
from workflows.ablation import read_ablation
from workflows.embedded import data_root

RECIPE = {
    "world": SMALL,
    "common": {"epochs": 1, "probe_every": 1},
    "panels": [{"name": "clean", "set": {"label_noise": 0.0}}, {"name": "noisy", "set": {"label_noise": 0.3}}],
    "methods": [{"method": "dpo"}, {"method": "dama"}, {"method": "dpo", "label": "control", "match": "dama"}],
    "seeds": [0],
    "eos_biases": [-1.5],
}


def test_settings_are_chosen_on_a_split_of_their_own(
    world: World, world_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(world_root.parent))
    assert data_root(None, world=SMALL) == world.bench_dir
    assert data_root(None, world=SMALL, split="tuning") == world.tuning_dir != world.bench_dir
    with pytest.raises(UsageError, match="split"):
        read_ablation({"methods": [{"method": "dpo"}], "split": "trial"})


@pytest.mark.slow
def test_the_main_job_end_to_end_and_again_from_the_store(
    world: World, world_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(world_root.parent))
    recipe, db = tmp_path / "small.yaml", tmp_path / "r.sqlite"
    recipe.write_text(yaml.safe_dump(RECIPE))
    command = ["demo", "--recipe", str(recipe), "--db", str(db), "--out", str(tmp_path), "--device", "cpu", "--json"]

    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, (result.output, result.exception)
    files = [Path(file) for file in json.loads(result.stdout)["files"]]
    assert [file.name for file in files[:2]] == ["leaderboard.html", "leaderboard.md"]
    assert all(file.exists() for file in files)
    assert {file.suffix for file in files[2:]} == {".svg", ".png"}

    store = Store(db)
    runs = {a.name: a for a in store.alignments()}
    assert set(runs) == {f"{label}-{panel}-s0" for label in ("dpo", "dama", "control") for panel in ("clean", "noisy")}
    evaluations = store.evaluations()
    assert {e.run for e in evaluations} == {"base", *runs}
    assert {e.benchmark for e in evaluations} == {"object_halbench", "amber", "mmhal"}
    assert all(e.n == e.n_scored for e in evaluations)
    assert len([e for e in evaluations if e.run == "base" and e.benchmark == "object_halbench"]) == 2
    for name, run in runs.items():
        assert store.train_log(name) and {g[1] for g in store.gaps(name)} == {"train", "heldout"}, name
        assert set(store.pair_hardness(name, "train")), run.method
    dama = store.train_log("dama-clean-s0")
    assert runs["control-clean-s0"].config["objective"]["beta"] == pytest.approx(
        sum(row["beta_mean"] for row in dama) / len(dama)
    )

    submit = Pool.submit

    def only_figures(pool: Pool, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        assert work is save, "everything is stored: workers have nothing to do but draw the figures"
        return submit(pool, work, *arguments)

    monkeypatch.setattr(Pool, "submit", only_figures)
    read: list[Store] = []
    counts = Store.verdict_counts

    def counted(store: Store) -> dict[int, tuple[int, int]]:
        read.append(store)
        return counts(store)

    monkeypatch.setattr(Store, "verdict_counts", counted)
    again = CliRunner().invoke(cli, command)
    assert again.exit_code == 0
    assert len(read) <= 3, "the store is read for each round and for the report, however many runs it holds"
    assert {a.name: a.seconds for a in Store(db).alignments()} == {name: run.seconds for name, run in runs.items()}
