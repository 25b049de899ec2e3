from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, UsageError
from harness.store import Store
from harness.util.options import read_yaml
from recipes import RECIPES
from workflows.ablate import matched_beta
from workflows.ablation import Job, jobs, read_ablation, sweep
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


def test_a_single_value_is_not_part_of_the_label() -> None:
    assert list(sweep({"method": "gap", "set": {"keep": 0.5}})) == [("gap", {"keep": 0.5})]


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
    with pytest.raises(UsageError, match="expected"):
        read_ablation({"methods": [{"method": "dpo", "sets": {}}]})


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
