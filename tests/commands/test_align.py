"""`align` as a user types it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

import cli
from tests.tiny import tiny_llava, tiny_pairs


def test_a_dry_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = tiny_llava(tmp_path / "model"), tiny_pairs(tmp_path, count=4)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("DAMA_HOME", raising=False)
    before = sorted(tmp_path.rglob("*"))
    words = ["align", "--method", "dpo", "--model", str(model), "--data", str(data), "--dry-run", "--json"]
    done = CliRunner().invoke(cli.cli, words, catch_exceptions=False)
    assert done.exit_code == 0 and json.loads(done.stdout)["estimate"]["pairs"] == 4
    assert sorted(tmp_path.rglob("*")) == before


def test_several_sources_of_data_are_all_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    words = ["align", "--method", "dpo", "--model", str(tiny_llava(tmp_path / "model")), "--dry-run", "--json"]
    for seed in (1, 2):
        words += ["--data", str(tiny_pairs(tmp_path / str(seed), count=4, seed=seed))]
    done = CliRunner().invoke(cli.cli, words, catch_exceptions=False)
    assert json.loads(done.stdout)["estimate"]["pairs"] == 8


@pytest.mark.parametrize("count", [12, 40])
def test_few_optimiser_steps_are_said_before_the_training_and_the_result_stays_json(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 pairs in steps of 4 are 10 steps, 12 are 3."""
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    model, data = tiny_llava(tmp_path / "model"), tiny_pairs(tmp_path, count=count)
    words = ["align", "--method", "dpo", "--model", str(model), "--data", str(data), "--set", "batch_size=4", "--json"]
    words += ["--db", str(tmp_path / "r.sqlite")]
    few = "few optimiser steps: 3 in all (12 pairs, batch_size=4, epochs=1)"
    planned = CliRunner().invoke(cli.cli, [*words, "--dry-run"], catch_exceptions=False)
    assert (few in json.loads(planned.stdout)["estimate"]["notes"]) == (count == 12)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = CliRunner().invoke(cli.cli, words, catch_exceptions=False)
    assert json.loads(done.stdout)["info"]["data"]["pairs"] == count
    assert [str(each.message).startswith(few) for each in caught if "optimiser steps" in str(each.message)] == (
        [True] if count == 12 else []
    )
