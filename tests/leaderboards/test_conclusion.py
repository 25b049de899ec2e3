"""The answer in words: the lowest figure, at what coverage, and no stronger claim than the table's own test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocols.benchmark import Metric, Verdict, ratio
from harness.store import Store
from leaderboards.conclusion import conclusion, conclusions
from leaderboards.rows import build_tables
from tests.leaderboards.fakes import METRICS, add, answers, snapshot, verdict

COVER = Metric("cover", ratio("named", "there"), True)


def said(store: Store, metrics: Sequence[Metric] = METRICS) -> str:
    return " ".join(conclusions(build_tables(snapshot(store, metrics), resamples=400)))


def stored(folder: Path, **hallucinated: Sequence[float]) -> Store:
    """Runs by method, each with its hallucinations among four mentions a sample; "base" is no alignment."""
    store = Store(folder / "r.sqlite")
    for run, counts in hallucinated.items():
        if run != "base":
            store.start_alignment(run, method=run, seed=0, panel="", key=run, config={})
            store.finish_alignment(run, status="done", model_dir="m", seconds=1.0)
        add(store, run, answers(counts))
    return store


def test_a_difference_beyond_noise_is_called_so_and_one_within_it_is_not(tmp_path: Path) -> None:
    """All 12 images favour dama over base: p 2 / 2^12, three times that after Holm's correction over three pairs.

    To dpo it differs by 25 points on one of them: standard error 25 / 12, with 11 degrees of freedom t(0.9917) + t(0.8)
    = 2.820 + 0.876 at a third of 5 %, as three rows make three pairs: 7.7 points would have been seen.
    """
    store = stored(tmp_path, base=[3] * 12, dpo=[1] * 12, dama=[1] * 11 + [0])
    assert said(store) == (
        "AMBER: dama has the lowest hallucination, CHAIR 22.9 % [17.3, 25.0] (12 samples; base 75.0 %): it and base, "
        "these two checkpoints differ (-52.1, p .001; one seed says nothing of the method); not distinguishable from "
        "it: dpo (smallest visible difference 7.7)."
    )


def test_of_readings_that_are_extrapolated_nothing_is_said(tmp_path: Path) -> None:
    (table,) = build_tables(snapshot(stored(tmp_path, base=[3] * 12, dpo=[1] * 12)), resamples=50)
    base, dpo = table.rows
    doubtful = replace(dpo, cells={name: replace(cell, bracketed=False) for name, cell in dpo.cells.items()})
    words = conclusion(replace(table, rows=(base, doubtful)))
    assert "nothing can be said of which is better, all readings of CHAIR but that of base are extrapolated" in words


def test_where_base_is_lowest_what_is_worse_is_named(tmp_path: Path) -> None:
    store = stored(tmp_path, base=[1] * 12, dpo=[3] * 12, gap=[1] * 11 + [2])
    assert said(store) == (
        "AMBER: no method has a lower hallucination than base, CHAIR 25.0 % [25.0, 25.0] (12 samples): worse than it: "
        "dpo (as checkpoints: one seed each); not distinguishable from it: gap (smallest visible difference 7.7)."
    )


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({"base": [1] * 6, "dpo": [1] * 6}, "no method is better than the others in CHAIR, the best are equal"),
        ({"dpo": [1] * 6}, "nothing can be said of which is better, only dpo was evaluated under these conditions"),
        ({"base": [1], "dpo": [0]}, "whether the difference to base (-25.0) is more than noise cannot be said"),
    ],
)
def test_what_cannot_be_said_is_not(tmp_path: Path, counts: dict[str, Sequence[float]], words: str) -> None:
    assert words in said(stored(tmp_path, **counts))


@pytest.mark.parametrize(
    ("mentions", "words"),
    [({}, "no row has a value of CHAIR."), ({"dpo": 4.0}, "only dpo has a value of CHAIR.")],
)
def test_where_nothing_was_measured_the_best_are_not_called_equal(
    tmp_path: Path, mentions: dict[str, float], words: str
) -> None:
    store = stored(tmp_path, base=[0] * 6, dpo=[0] * 6)
    for run in ("base", "dpo"):  # answers that mention nothing have no CHAIR; one of base failed
        failed = {"5": Verdict({}, error="no reply")} if run == "base" else {}
        silent = {str(i): verdict(0, mentions.get(run, 0.0)) for i in range(6)} | failed
        add(store, run, silent)
    assert said(store) == (
        f"AMBER: nothing can be said of which is better, {words} Not all samples were scored: base 5/6 (1 failed)."
    )


def test_less_hallucination_with_less_coverage_is_said_with_it(tmp_path: Path) -> None:
    store = stored(tmp_path, base=[2] * 12, dpo=[2] * 12)
    short = {str(i): Verdict({"hallucinated": 0.0, "mentions": 4.0, "named": 1.0, "there": 4.0}) for i in range(12)}
    long = {str(i): Verdict({"hallucinated": 2.0, "mentions": 4.0, "named": 3.0, "there": 4.0}) for i in range(12)}
    add(store, "dpo", short)
    add(store, "base", {**long, "11": Verdict({}, error="no reply")})
    words = said(store, [*METRICS[:1], COVER])
    assert words.startswith(
        "AMBER: dpo has the lowest hallucination, CHAIR 0.0 % [0.0, 24.2] at Cover 25.0 % (12 samples; base 50.0 %): "
    )
    assert "It covers less than base too (Cover -50.0): `bench --eos-bias auto` compares at equal" in words
    assert words.endswith("Not all samples were scored: base 11/12 (1 failed).")


def test_a_row_that_the_best_is_compared_with_and_that_was_not_scored_whole_is_named(tmp_path: Path) -> None:
    store = stored(tmp_path, base=[2] * 12, dpo=[2] * 12, gap=[1] * 12, dama=[1] * 12)
    add(store, "gap", {**answers([1] * 11), "11": Verdict({}, error="no reply")})
    add(store, "dama", answers([1] * 11 + [0]))
    words = said(store)
    assert words.startswith("AMBER: dama has the lowest") and "not distinguishable from it: gap" in words
    assert words.endswith("Not all samples were scored: gap 11/12 (1 failed).")


def test_an_interval_without_0_is_not_enough_where_the_test_is_not_passed(tmp_path: Path) -> None:
    store = stored(tmp_path, base=[2] * 12, dpo=[1] * 5 + [2] * 7)
    (table,) = build_tables(snapshot(store), resamples=400)
    assert next(row for row in table.rows if row.label == "dpo").cells["chair"].versus["base"].high < 0
    assert "not distinguishable from base (-10.4, p .0" in said(store), "p is .0625: 2 of 32 swaps"
