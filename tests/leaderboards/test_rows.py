from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from harness.store import Store
from leaderboards.formats.data import records
from leaderboards.rows import Row, Table, build_tables
from leaderboards.text import counts as counts_text
from tests.leaderboards.fakes import add, answers, example, snapshot


def tables(store: Store, **options: Any) -> list[Table]:
    return build_tables(snapshot(store), resamples=200, **options)


def test_the_interval_counts_the_seeds_pooled_over_methods(tmp_path: Path) -> None:
    """Dpo has 25 and 50 %, dama 12.5 and 15 %: squares 312.5 + 3.125 with 2 degrees of freedom, for the mean of two
    seeds t(0.975; 2) = 4.3027 times sqrt(315.625 / 2 / 2) = 8.8829 is 38.220. All images agree: samples add nothing.
    No share is below 0, where the interval is cut; by how much a difference would be seen is not.
    """
    (table,) = tables(example(tmp_path))
    assert table.panel == "clean"
    assert [row.label for row in table.rows] == ["base", "dpo", "dama"]
    dpo = table.rows[1].cells["chair"]
    assert (dpo.value, dpo.samples, dpo.by_seed) == (37.5, 0.0, (25.0, 50.0))
    assert (dpo.seeds, dpo.low, dpo.high) == pytest.approx((38.220, 0.0, 37.5 + 38.220), abs=1e-3)
    assert dpo.spread == pytest.approx(math.sqrt(2) * 12.5)  # yet the seeds, 25 and 50, do
    assert table.rows[1].seeds == (0, 1)
    assert math.isnan(table.rows[0].cells["chair"].spread)


def test_failed_samples_are_shown_and_left_out_of_the_pairs(tmp_path: Path) -> None:
    (table,) = tables(example(tmp_path))
    dama = table.rows[2]
    assert (dama.n, dama.n_scored, dama.n_failed) == (12, 11, 1)
    found = dama.cells["chair"].versus["dpo"]
    assert found.n == 5
    # Samples 0 to 4: dama 2 of 20 and 3 of 20, dpo 25 % and 50 %.
    assert found.value == pytest.approx(12.5 - 37.5)
    assert (found.kind, found.by_seed) == ("methods", (-15.0, -35.0))
    assert found.high > 0, "two seeds so far apart say nothing of the methods"
    assert dama.cells["chair"].versus["base"].value == pytest.approx(12.5 - 50)
    assert "dpo" not in table.rows[1].cells["chair"].versus


@pytest.mark.parametrize("change", [{"judge": "rule"}, {"version": "2"}, {"data_key": "e"}, {"mode": "official"}])
def test_other_judges_versions_and_data_have_their_own_table(tmp_path: Path, change: dict[str, str]) -> None:
    store = example(tmp_path)
    add(store, "dama-s0", answers([0] * 6), **change)
    found = tables(store)
    assert sorted(len(table.rows) for table in found) == [1, 3]


def test_points_of_the_coverage_curve_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "dama-s0", answers([0] * 6), decoding={"eos_bias": 1.5})
    assert len(tables(store)) == 1
    assert [table.condition.eos_bias for table in tables(store, curve=True)] == [0.0, 1.5]


def test_every_panel_has_the_base_and_its_own_runs(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.start_alignment("dpo-f", method="dpo", seed=0, panel="30 % flipped labels", key="f", config={})
    store.finish_alignment("dpo-f", status="done", model_dir="m", seconds=1.0)
    add(store, "dpo-f", answers([2, 1] * 3))
    clean, flipped = tables(store)
    assert (clean.panel, flipped.panel) == ("clean", "30 % flipped labels")
    assert [row.runs for row in flipped.rows] == [("base",), ("dpo-f",)]


def test_the_newest_evaluation_of_a_run_stands(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "base", answers([0] * 6), model_key="retrained")
    (table,) = tables(store)
    assert table.rows[0].cells["chair"].value == 0
    assert table.rows[0].n == 6


def test_coverage_and_length_stand_beside_hallucination(tmp_path: Path) -> None:
    (table,) = tables(example(tmp_path))
    assert [metric.name for metric in table.headline] == ["chair", "mentions"]


def test_a_model_that_says_nothing_is_marked_beside_its_good_figures(tmp_path: Path) -> None:
    """It hallucinates 0 % and would lead the table."""
    store = example(tmp_path)
    counts = {"n": 6, "empty": 6, "cut": 0, "same": 0}
    add(store, "silent", answers([0] * 6), info={"answers": counts}, alignment=None)
    (table,) = tables(store)
    silent = next(row for row in table.rows if row.label == "silent")
    assert (silent.n_scored, silent.whole, counts_text(silent)) == (6, False, "6/6 (100 % empty)")
    assert next(row for row in table.rows if row.label == "base").answers["empty"] is None, "not counted then"
    record = next(row for row in records([table]) if row["method"] == "silent")
    assert (record["n_empty"], record["n_cut"]) == (6, 0)


@pytest.mark.parametrize(
    ("counted", "doubts"),
    [
        ({"empty": 2, "cut": 3, "same": 0}, ("3 % cut",)),
        ({"empty": 0, "cut": 0, "same": 1}, ("all the same",)),
        ({"empty": 50, "cut": 50, "same": 0}, ("50 % empty", "50 % cut")),
    ],
)
def test_a_row_is_doubtful_above_two_per_cent(counted: dict[str, int], doubts: tuple[str, ...]) -> None:
    row = Row("m", ("m",), (), 100, 100, 0, {}, {}, answers=counted)
    assert row.doubts == doubts and not row.whole
