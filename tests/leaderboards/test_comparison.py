from __future__ import annotations

import io
import json
import math
from collections import defaultdict
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import UsageError
from harness.store import Store
from leaderboards.compared_with import compared_with
from leaderboards.comparison import Comparison, compare, load_comparison
from leaderboards.formats.comparison_view import comparison_table
from leaderboards.formats.data import comparison_records
from leaderboards.names import runs_of
from leaderboards.rows import build_tables
from leaderboards.run_groups import run_groups
from tests.leaderboards.fakes import add, answers, example, snapshot, verdict


def run(store: Store, a: str, b: str) -> dict[str, Comparison]:
    found = compare(snapshot(store), store.evaluations(), a, b)
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


def test_two_runs_that_no_table_holds_are_a_family_of_their_own(tmp_path: Path) -> None:
    """Chair has p = 2 / 32, mentions are equal: p = 1. One seed is no row of a table of methods."""
    by_name = run(example(tmp_path), "dama-s1", "base")
    assert [by_name[name].p_holm for name in ("chair", "mentions")] == pytest.approx([2 / 32, 1], rel=1e-5)
    assert {c.family for c in by_name.values()} == {1}
    assert {c.difference.kind for c in by_name.values()} == {"checkpoints"}
    assert [by_name[name].primary for name in ("chair", "mentions", "accuracy")] == [True, False, False]
    assert [by_name[name].headline for name in ("chair", "mentions", "accuracy")] == [True, True, False]


def test_the_other_way_round_changes_the_sign_only(tmp_path: Path) -> None:
    store = example(tmp_path)
    there, back = run(store, "dama-s0", "dpo-s0")["chair"], run(store, "dpo-s0", "dama-s0")["chair"]
    assert there.difference.value == -back.difference.value
    assert there.difference.p == back.difference.p


def test_compare_is_the_row_of_the_table_against_the_other_to_the_digit(tmp_path: Path) -> None:
    """Methods, and the base; the family are all three pairs of the table's rows."""
    store = example(tmp_path)
    for a, b in (("dama", "dpo"), ("dpo", "dama"), ("dama", "base"), ("base", "dpo")):
        found = {c.metric.name: c for c in load_comparison(snapshot(store), a, b)}
        (table,) = build_tables(snapshot(store), against=b, resamples=50)
        cells = next(row for row in table.rows if row.label == a).cells
        for name, compared in found.items():
            assert compared.difference == cells[name].versus[b]
            assert compared.p_holm == cells[name].holm[b] or math.isnan(compared.p_holm)
            assert compared.family == 3
        (plain,) = build_tables(snapshot(store), resamples=50)
        cell = next(row for row in plain.rows if row.label == a).cells["chair"]
        assert b == "dama" or (found["chair"].difference, found["chair"].p_holm) == (cell.versus[b], cell.holm[b])


def test_two_rows_have_one_adjusted_p_whichever_way_and_whatever_the_others_are_compared_with(tmp_path: Path) -> None:
    """A against B and B against A, in the table against base and DPO, in those against each row, and in `compare`."""
    store = example(tmp_path)
    (plain,) = build_tables(snapshot(store), resamples=50)
    tables = [plain, *(build_tables(snapshot(store), against=row.label, resamples=50)[0] for row in plain.rows)]
    shifted = [table for row in plain.rows if (table := compared_with(plain, row.label)) is not None]
    for built, turned in zip(tables[1:], shifted, strict=True):
        assert [r.cells["chair"].versus for r in built.rows] == [r.cells["chair"].versus for r in turned.rows]
    tables += shifted
    found: dict[frozenset[str], list[tuple[float, float, float]]] = defaultdict(list)
    for table in tables:
        for row in table.rows:
            cell = row.cells["chair"]
            for name, other in row.references.items():
                d = cell.versus[name]
                assert d.low == pytest.approx(d.value - (d.high - d.low) / 2)
                found[frozenset((row.label, other))].append((abs(d.value), d.smallest, cell.holm[name]))
    for a, b in (
        ("dama", "dpo"),
        ("dpo", "dama"),
        ("dama", "base"),
        ("base", "dama"),
        ("dpo", "base"),
        ("base", "dpo"),
    ):
        compared = {c.metric.name: c for c in load_comparison(snapshot(store), a, b)}["chair"]
        d = compared.difference
        found[frozenset((a, b))].append((abs(d.value), d.smallest, compared.p_holm))
    assert len(found) == 3 and all(len(each) > 5 and len(set(each)) == 1 for each in found.values())


def test_where_rows_are_equal_only_together_a_found_difference_leaves_fewer_to_count(tmp_path: Path) -> None:
    """Three rows: after one difference is found two equalities are left, of which one follows from the other, so that
    p is adjusted by 3, 1 and 1 (Shaffer). Where a row lacks a sample it does not follow: 3, 2 and 1 (Holm).

    Nor does it where one pair is of methods and the others of checkpoints.
    """
    store = example(tmp_path)
    assert factors(store)[:2] == pytest.approx([3, 2])
    add(store, "dama-s1", answers([1, 0, 1, 0, 1, 1]))
    assert factors(store) == pytest.approx([3, 1, 1])
    with store.transaction() as db:
        db.execute("DELETE FROM evaluation WHERE run = 'dama-s1'")
    add(store, "dama-s0", answers([1, 1, 0, 1, 0, 2]))  # 2 / 32 against base, 10 / 64 against dpo
    assert factors(store)[:2] == pytest.approx([3, 2])


def factors(store: Store) -> list[float]:
    """Of every pair of rows by how much its p is adjusted, smallest p first."""
    (table,) = build_tables(snapshot(store), resamples=50)
    tests = {frozenset(pair): (d.p, p) for pair, (d, p) in table.pairs["chair"].items()}
    return [adjusted / p for p, adjusted in sorted(tests.values())]


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


def test_a_method_stands_for_all_its_seeds(tmp_path: Path) -> None:
    store = example(tmp_path)
    runs, records = store.evaluations(), run_groups(store.alignments())
    assert runs_of("dama", runs, records) == ["dama-s0", "dama-s1"]
    assert runs_of("dpo@clean", runs, records) == ["dpo-s0", "dpo-s1"]
    with pytest.raises(UsageError, match="Did you mean 'dama'"):
        runs_of("dam", runs, records)
    members = {name: runs_of(name, runs, records) for name in ("dama", "dpo")}
    found = compare(snapshot(store), runs, "dama", "dpo", members=members)
    chair = next(c for c in found if c.metric.name == "chair")
    # On the five samples that every seed scored: dama (2/20 + 3/20) / 2 = 12.5 %, dpo (5/20 + 10/20) / 2 = 37.5 %.
    assert (chair.a, chair.b, chair.difference.value, chair.difference.n) == (12.5, 37.5, -25.0, 5)


def test_a_method_of_two_panels_asks_which(tmp_path: Path) -> None:
    store = example(tmp_path)
    store.start_alignment("dpo-noisy", method="dpo", seed=0, panel="noisy", key="k", config={})
    store.finish_alignment("dpo-noisy", status="done", model_dir="m", seconds=1.0)
    add(store, "dpo-noisy", answers([1] * 6))
    with pytest.raises(UsageError, match="'dpo@clean' or 'dpo@noisy'"):
        runs_of("dpo", store.evaluations(), run_groups(store.alignments()))


def test_runs_without_a_common_sample_say_so(tmp_path: Path) -> None:
    store = example(tmp_path)
    add(store, "left", {"0": verdict(1)})
    add(store, "right", {"1": verdict(1)})
    with pytest.raises(UsageError, match="no sample in common"):
        run(store, "left", "right")
