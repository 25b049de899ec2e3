from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UsageError
from harness.store import Store
from leaderboards.compare import Comparison, compare, comparison_records, comparison_table
from tests.leaderboards.fakes import add, answers, example, metrics


def run(store: Store, a: str, b: str) -> dict[str, Comparison]:
    found = compare(store.evaluations(), a, b, lambda e: store.verdicts(e.id), metrics, resamples=500)
    return {comparison.metric.name: comparison for comparison in found}


def test_differences_are_paired_over_common_samples(tmp_path: Path) -> None:
    found = run(example(tmp_path), "dama-s1", "base")
    chair = found["chair"]
    assert (chair.a, chair.b, chair.difference.value, chair.difference.n) == (15, 50, -35, 5)
    assert chair.difference.p == pytest.approx(2 / 32)  # all five samples favour A: two of 2**5 swaps are as extreme
    assert "official_chair" not in found


def test_mcnemar_is_given_for_shares_of_right_answers_only(tmp_path: Path) -> None:
    found = run(example(tmp_path), "dama-s0", "base")
    assert found["accuracy"].p_mcnemar == pytest.approx(2 / 2**6)  # six right against none
    assert found["chair"].p_mcnemar is None


def test_the_other_way_round_changes_the_sign_only(tmp_path: Path) -> None:
    store = example(tmp_path)
    there, back = run(store, "dama-s0", "dpo-s0")["chair"], run(store, "dpo-s0", "dama-s0")["chair"]
    assert there.difference.value == -back.difference.value
    assert there.difference.p == back.difference.p


def test_unknown_runs_and_runs_without_a_common_benchmark_are_errors(tmp_path: Path) -> None:
    store = example(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'dpo-s1'"):
        run(store, "dpo-s9", "base")
    add(store, "other", answers([1] * 6), judge="rule")
    with pytest.raises(UsageError, match="share no benchmark"):
        run(store, "other", "base")


def test_records_are_json_and_the_table_fits(tmp_path: Path) -> None:
    found = list(run(example(tmp_path), "dama-s1", "base").values())
    parsed = json.loads(json.dumps(comparison_records(found), allow_nan=False))
    assert (parsed[0]["benchmark"], parsed[0]["difference"], parsed[0]["n_common"]) == ("amber", -35.0, 5)
    console = Console(width=100, file=io.StringIO(), record=True, color_system=None)
    console.print(comparison_table(found, "dama-s1", "base"))
    text = console.export_text()
    assert "AMBER" in text and "-35.0*" in text
