"""CHAIR_i at the base's coverage: the reading of the curve by hand, its place in the tables, its p-values."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pytest

from harness.protocols.benchmark import Metric, Verdict, ratio
from harness.store import EvaluationRecord, Store, VerdictRecord
from harness.util.console import Console
from leaderboards.bracket import coverage_draws, lack_of
from leaderboards.charts.curves import write_curves
from leaderboards.charts.lines import chart
from leaderboards.charts.tradeoffs import coverage_curves, reading_line
from leaderboards.comparison import compare
from leaderboards.conclusion import conclusion
from leaderboards.coverage import (
    Tradeoff,
    at_coverage,
    beyond_ends,
    curve_verdicts,
    extrapolated,
    tradeoff_of,
)
from leaderboards.formats.data import records
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.formats.terminal import leaderboard
from leaderboards.notes import note
from leaderboards.page.answers import answers
from leaderboards.page.ranked import ranked
from leaderboards.page.references import reference_view
from leaderboards.pilot import pilot_of
from leaderboards.rows import Table, build_tables
from leaderboards.scored_metrics import ScoredMetrics
from leaderboards.scores import Scores, read_scores
from leaderboards.selection import Selection
from leaderboards.snapshot import Snapshot
from leaderboards.text import best_rows, better, ranks, stars
from leaderboards.verdict_table import VerdictTable
from tests.leaderboards.fakes import FixedMetrics, add, snapshot

MATCHED = "chair_i_matched"

METRICS = [Metric("chair_i", ratio("hallucinated", "mentions"), False), Metric("recall", ratio("named", "there"), True)]


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_the_curve_is_read_at_the_target_between_its_points() -> None:
    coverage, chair = column(60.0, 40.0, 50.0), column(40.0, 20.0, 30.0)
    assert at_coverage(coverage, chair, np.array([45.0])) == 25.0
    assert at_coverage(coverage, chair, np.array([50.0])) == 30.0


def test_beyond_its_ends_the_last_segment_is_prolonged() -> None:
    coverage, chair = column(40.0, 50.0, 60.0), column(20.0, 30.0, 50.0)
    assert at_coverage(coverage, chair, np.array([65.0])) == 60.0
    assert at_coverage(coverage, chair, np.array([35.0])) == 15.0


def test_points_of_one_coverage_do_not_divide_by_zero() -> None:
    assert np.isfinite(at_coverage(column(50.0, 50.0), column(30.0, 31.0), np.array([50.0]))).all()


def test_a_curve_says_on_which_side_of_its_ends_the_target_lies() -> None:
    coverage, chair = column(60.0, 40.0), column(40.0, 20.0)
    targets = np.array([[39.9], [40.0], [50.0], [60.0], [60.1]])
    assert [float(beyond_ends(coverage, chair, target)[0]) for target in targets] == [-1, 0, 0, 0, 1]
    assert math.isnan(beyond_ends(column(math.nan), column(1.0), np.array([50.0]))[0])


def test_one_point_is_read_where_it_lies_and_nowhere_else() -> None:
    assert at_coverage(column(50.0), column(30.0), np.array([50.0])) == 30.0
    assert np.isnan(at_coverage(column(50.0), column(30.0), np.array([50.1]))).all()


def test_points_beyond_the_two_beside_the_target_do_not_bend_a_curve() -> None:
    """Which is why two rows need not have the same points."""
    coverage, chair = column(40.0, 50.0, 60.0, 80.0), column(20.0, 30.0, 50.0, 90.0)
    read = [at_coverage(coverage[kept], chair[kept], np.array([52.0])) for kept in ([1, 2], [0, 1, 2], [0, 1, 2, 3])]
    assert read == [34.0, 34.0, 34.0]


def test_every_resample_has_its_own_curve() -> None:
    coverage = np.array([[40.0, 42.0], [60.0, 62.0]])
    chair = np.array([[20.0, 21.0], [40.0, 45.0]])
    assert at_coverage(coverage, chair, np.array([50.0, 52.0])).tolist() == [30.0, 33.0]


def test_points_without_figures_are_left_out_and_one_point_is_no_curve() -> None:
    coverage = np.array([[40.0, 40.0], [math.nan, math.nan], [60.0, math.nan]])
    chair = np.array([[20.0, 20.0], [99.0, 99.0], [40.0, 40.0]])
    found = at_coverage(coverage, chair, np.array([50.0, 50.0]))
    assert found[0] == 30.0 and math.isnan(found[1])
    assert at_coverage(np.array([40.0, 60.0]), np.array([20.0, 40.0]), np.array(55.0)) == 35.0


def point(
    store: Store,
    run: str,
    bias: float,
    captions: Sequence[tuple[int, int, int] | None],
    benchmark: str = "object_halbench",
) -> None:
    """An evaluation of ``run`` at a bias: of each image (hallucinated, mentions, named) of ten objects, None failed."""
    verdicts = {
        str(i): Verdict({}, error="no reply")
        if c is None
        else Verdict({"hallucinated": c[0], "mentions": c[1], "named": c[2], "there": 10.0})
        for i, c in enumerate(captions)
    }
    known = [c for c in captions if c is not None]
    hallucinated, mentions, named = (sum(c[i] for c in known) for i in range(3))
    shares = {"chair_i": 100 * hallucinated / mentions, "recall": 10 * named / len(known)}
    stored = {name: {"value": value} for name, value in shares.items()}
    add(store, run, verdicts, benchmark=benchmark, decoding={"eos_bias": bias}, metrics=stored)


def tables(store: Store) -> list[Table]:
    return build_tables(snapshot(store, METRICS), resamples=300)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """base covers 50 % with a CHAIR_i of 50; dpo says less: 40 % with 20, and 60 % with 40 if pushed, so 30 matched."""
    store = Store(tmp_path / "results.sqlite")
    for method in ("dpo", "gap"):
        store.start_alignment(method, method=method, seed=0, panel="clean", key=method, config={})
        store.finish_alignment(method, status="done", model_dir="m", seconds=1.0)
    point(store, "base", 0.0, [(5, 10, 5)] * 8)
    point(store, "base", -1.0, [(8, 10, 7)] * 8)
    point(store, "dpo", 0.0, [(2, 10, 4)] * 8)
    point(store, "dpo", -1.0, [(4, 10, 6)] * 8)
    point(store, "gap", 0.0, [(1, 10, 4)] * 8)
    return store


def test_it_stands_in_the_table_with_its_differences(store: Store) -> None:
    (table,) = tables(store)
    base, dpo, gap = (row.cells[MATCHED] for row in table.rows)
    assert (base.value, dpo.value) == (50.0, 30.0)
    assert (dpo.versus["base"].value, base.versus["dpo"].value) == (-20.0, 20.0)
    assert dpo.versus["base"].p == base.versus["dpo"].p == pytest.approx(2 / 2**8)  # every image is in favour of dpo
    assert dpo.holm["base"] == dpo.versus["base"].p, "gap has no curve, so there is one comparison"
    assert math.isnan(gap.value) and not gap.versus
    assert MATCHED in [metric.name for metric in table.headline]


def test_a_point_without_a_scored_sample_is_none_and_points_without_a_common_one_have_no_reading(store: Store) -> None:
    """At -2 nothing of dpo was scored: it is read at the other two. Then only a sample that base lacks is."""
    failed = {str(i): Verdict({}, error="no reply") for i in range(8)}
    add(store, "dpo", failed, benchmark="object_halbench", decoding={"eos_bias": -2.0}, metrics={})
    (table,) = tables(store)
    assert table.rows[1].cells[MATCHED].value == 30.0
    point(store, "dpo", -2.0, [(4, 10, 6), *[None] * 7])
    point(store, "base", 0.0, [None, *[(5, 10, 5)] * 7])
    (table,) = tables(store)
    assert MATCHED not in {metric.name for metric in table.metrics}


def test_complete_does_not_change_the_points_that_a_curve_is_read_from(store: Store) -> None:
    """At -1 one of dpo's samples failed, so that evaluation is left out of the tables, and not of the curve."""
    point(store, "dpo", -1.0, [*[(4, 10, 6)] * 7, None])
    reader = FixedMetrics(store, METRICS)
    (whole,) = build_tables(reader, resamples=100)
    complete = FixedMetrics(store, METRICS)
    complete.selection = Selection(complete=True)
    (filtered,) = build_tables(complete, resamples=100)
    assert [row.cells[MATCHED] for row in filtered.rows[:2]] == [row.cells[MATCHED] for row in whole.rows[:2]]
    assert whole.rows[1].cells[MATCHED].value == 30.0


def test_what_a_benchmark_is_judged_by_is_planned_unless_another_metric_is_named(store: Store) -> None:
    for seed in (0, 1):
        name = f"dama-s{seed}"
        store.start_alignment(name, method="dama", seed=seed, panel="clean", key=name, config={})
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
        for bias, of_one in ((0.0, (2 + seed, 10, 4)), (-1.0, (4 + seed, 10, 6))):
            point(store, name, bias, [of_one] * 8)
    reader = FixedMetrics(store, METRICS)
    assert pilot_of(reader, "dama", "base", None, None).metric.name == MATCHED
    assert pilot_of(reader, "dama", "base", None, "recall").metric.name == "recall"


def test_the_curve_is_drawn_as_svg_and_png_where_there_is_one(store: Store, tmp_path: Path) -> None:
    files = write_curves(Snapshot(store), tables(store), tmp_path / "plots")
    assert [file.suffix for file in files] == [".svg", ".png"]
    svg = files[0].read_text(encoding="utf-8")
    assert "Object HalBench CHAIRi, %" in svg and all(f">{name}<" in svg for name in ("base", "dpo", "gap"))
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other" / "r.sqlite")
    point(other, "base", 0.0, [(5, 10, 5)] * 8)
    assert write_curves(Snapshot(other), tables(other), tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_a_reading_beyond_a_curves_end_is_counted_and_not_relied_on(store: Store) -> None:
    """Gap covers 40 % and 45 %, base 50 %: every draw is beyond. Of three images that name 3, 5 and 7 objects at -1 the
    coverage is base's 50 % on the whole, and falls short of it in the draws that have more of the first than of the
    last: 10 of the 27 (three images drawn from three).
    """
    point(store, "gap", -1.0, [(1, 10, 4), (1, 10, 5)] * 4)
    (table,) = tables(store)
    gap = table.rows[2].cells[MATCHED]
    assert (gap.extrapolated, gap.bracketed) == (pytest.approx(1.0, abs=0.02), False)
    assert (table.rows[1].cells[MATCHED].extrapolated, table.rows[1].cells[MATCHED].bracketed) == (0.0, True)

    base, low, high = ([(1, 10, n) for n in named] for named in ((5, 5, 5), (4, 4, 4), (3, 5, 7)))
    points = {bias: table_of(captions) for bias, captions in ((0.0, low), (-1.0, high))}
    share, firm = extrapolated(read_scores([curve_verdicts(points, table_of(base))]), tradeoff(), resamples=4000)
    assert share == pytest.approx(10 / 27, abs=0.03) and not firm


def test_one_seed_that_does_not_reach_the_target_is_enough_to_mark_the_row(store: Store) -> None:
    """Seed 0 reaches 60 %, seed 1 stops at 45 %, base lies at 50 %: half of the readings are beyond."""
    store.start_alignment("dpo-s1", method="dpo", seed=1, panel="clean", key="s1", config={})
    store.finish_alignment("dpo-s1", status="done", model_dir="m", seconds=1.0)
    point(store, "dpo-s1", 0.0, [(4, 10, 4)] * 8)
    point(store, "dpo-s1", -1.0, [(6, 10, 4), (6, 10, 5)] * 4)
    (table,) = tables(store)
    dpo = table.rows[1].cells[MATCHED]
    assert (dpo.extrapolated, dpo.bracketed) == (pytest.approx(0.5, abs=0.02), False)


def test_what_is_extrapolated_is_marked_in_every_format_and_is_neither_best_nor_starred(
    store: Store, tmp_path: Path
) -> None:
    """gap would be the best: 10 at 40 % and at 45 %, and so 10 at base's 50 %."""
    point(store, "gap", -1.0, [(1, 10, 4), (1, 10, 5)] * 4)
    (table,) = tables(store)
    (metric,) = (m for m in table.metrics if m.name == MATCHED)
    gap = table.rows[2].cells[MATCHED]
    assert gap.value == 10.0 and best_rows(table, metric) == {"dpo"} and "gap" not in ranks(table, metric)
    assert stars(gap.versus["base"], 0.001) == "†" and better(gap.versus["base"], metric, 0.001) is None
    said = "of gap (Object HalBench, clean: CHAIRi matched, 100 % of draws): such a figure is extrapolated"
    shown = markdown([table])
    assert "10.0†" in shown and said in shown and "**10.0†" not in shown and "-40.0† [" in shown
    assert "10.0$\\dagger$" in latex([table]) and "such a figure is extrapolated" in latex([table])
    console = Console(file=io.StringIO(), width=120)
    for block in leaderboard([table]):
        console.print(block)
    text = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "10.0†" in text and "-40.0†" in text and "such a figure is extrapolated" in text
    record = next(r for r in records([table]) if (r["method"], r["metric"]) == ("gap", MATCHED))
    assert (record["extrapolated"], record["bracketed"]) == (pytest.approx(1.0, abs=0.02), False)
    assert "gap" not in conclusion(table).split(":")[1].split(" has ")[0]
    rows = ranked([table])
    assert [(row["label"], row["place"]) for row in rows] == [("dpo", 1), ("base", 2), ("gap", "")]
    card = next(card for card in answers([table], "base") if card["label"] == "gap")
    assert card["verdicts"][0]["text"] == "extrapolated, so not judged against base"
    forests = reference_view([table], "base", {})["forests"]
    assert "-40.0† [" in "".join(forest["chart"] for forest in forests)


def test_the_chart_shows_where_each_curve_is_read_and_how_far_it_reaches(store: Store) -> None:
    point(store, "gap", -1.0, [(1, 10, 4), (1, 10, 5)] * 4)
    (table,) = tables(store)
    curves = {curve.label: curve for curve in coverage_curves(Snapshot(store), table, {})}
    assert reading_line(table) == (50.0, "coverage of base, 50.0 %")
    assert curves["base"].reading is None, "it lies at its own point"
    read = curves["dpo"].reading
    assert read is not None and (read.x, read.y, read.low, read.high, read.within) == (50.0, 30.0, 30.0, 30.0, True)
    assert read.note == "dpo at the coverage of base: CHAIRi matched 30.0 % [30.0, 30.0]"
    beyond = curves["gap"].reading
    assert beyond is not None and not beyond.within and beyond.note.endswith(", beyond the curve's ends")
    drawn = chart(list(curves.values()), "", "x", "y", upright=reading_line(table), size=(700, 360))
    assert (
        drawn.count('class="reading"') == 2 and drawn.count("line dotted") == 1 and "coverage of base, 50.0 %" in drawn
    )


def test_base_needs_no_curve_it_is_read_at_its_point(store: Store) -> None:
    with store.transaction() as db:
        db.execute("DELETE FROM evaluation WHERE run = 'base' AND decoding LIKE '%-1%'")
    (table,) = tables(store)
    base, dpo, _ = (row.cells[MATCHED] for row in table.rows)
    assert (base.value, base.extrapolated, dpo.versus["base"].value) == (50.0, 0.0, -20.0)
    assert dpo.versus["base"].p == pytest.approx(2 / 2**8)


def test_an_image_that_failed_at_one_point_counts_at_none(store: Store) -> None:
    point(store, "dpo", -1.0, [None, *[(4, 10, 6)] * 7])
    point(store, "dpo", 0.0, [(9, 10, 9), *[(2, 10, 4)] * 7])
    (table,) = tables(store)
    dpo = table.rows[1].cells[MATCHED]
    assert (dpo.value, dpo.versus["base"].n) == (30.0, 7)


def test_the_spread_over_seeds_is_that_of_the_readings(store: Store) -> None:
    store.start_alignment("dpo-s1", method="dpo", seed=1, panel="clean", key="s1", config={})
    store.finish_alignment("dpo-s1", status="done", model_dir="m", seconds=1.0)
    point(store, "dpo-s1", 0.0, [(4, 10, 4)] * 8)
    point(store, "dpo-s1", -1.0, [(6, 10, 6)] * 8)
    (table,) = tables(store)
    dpo = table.rows[1].cells[MATCHED]
    assert (dpo.value, dpo.spread) == pytest.approx((40.0, math.sqrt(200)))  # 30 and 50


def test_points_far_from_the_target_that_one_row_has_alone_change_nothing(store: Store) -> None:
    (before,) = tables(store)
    point(store, "dpo", 1.0, [(0, 10, 1)] * 8)
    point(store, "dpo", -2.0, [(9, 10, 9)] * 8)
    (after,) = tables(store)
    assert after.rows[1].cells[MATCHED] == before.rows[1].cells[MATCHED]


def test_rows_need_not_have_the_same_points(store: Store) -> None:
    """gap covers 40 % with 10 and, at a bias that no other row has, 60 % with 50: 30 at 50 %, as dpo."""
    point(store, "gap", -1.5, [(5, 10, 6)] * 8)
    (table,) = tables(store)
    gap = table.rows[2].cells[MATCHED]
    assert (gap.value, gap.versus["dpo"].value, gap.versus["base"].value) == (30.0, 0.0, -20.0)
    assert gap.versus["base"].p == pytest.approx(2 / 2**8) and gap.bracketed


def test_a_difference_is_as_doubtful_as_the_reading_that_is_the_more_so(store: Store) -> None:
    point(store, "gap", -1.0, [(1, 10, 4), (1, 10, 5)] * 4)
    (table,) = tables(store)
    dpo, gap = (row.cells[MATCHED] for row in table.rows[1:])
    found = [gap.versus["dpo"], gap.versus["base"], dpo.versus["base"]]
    assert [d.bracketed for d in found] == [False, False, True]
    assert [d.extrapolated for d in found] == pytest.approx([1.0, 1.0, 0.0], abs=0.02)


def test_biased_points_without_the_unbiased_one_are_no_target(store: Store) -> None:
    names = without(store, lambda e: e.run == "base" and e.decoding["eos_bias"] == 0)
    assert "chair_i" in names and MATCHED not in names


def test_every_benchmark_that_declares_both_metrics_has_the_figure(store: Store) -> None:
    """AMBER's CHAIR at the base's coverage, from the same captions."""
    for run, bias, caption in (
        ("base", 0.0, (5, 10, 5)), ("base", -1.0, (8, 10, 7)), ("dpo", 0.0, (2, 10, 4)), ("dpo", -1.0, (4, 10, 6)),
    ):  # fmt: skip
        point(store, run, bias, [caption] * 8, "amber")
    metrics = [replace(METRICS[0], name="chair"), replace(METRICS[1], name="cover")]
    (table,) = build_tables(snapshot(store, metrics), benchmarks=frozenset({"amber"}), resamples=50)
    assert [metric.name for metric in table.headline] == ["chair", "chair_matched", "cover"]
    assert [row.cells["chair_matched"].value for row in table.rows] == [50.0, 30.0]
    assert "CHAIR matched is read off each method's coverage curve" in note([table])
    assert [card["what"] for card in answers([table])] == ["CHAIR at the base's coverage ↓"] * 2


def test_compare_reads_the_curves_too(store: Store) -> None:
    found = compare(snapshot(store, METRICS), store.evaluations(), "dpo", "base")
    (matched,) = (c for c in found if c.metric.name == MATCHED)
    assert (matched.a, matched.b, matched.difference.value, matched.headline) == (30.0, 50.0, -20.0, True)
    assert math.isfinite(matched.p_holm)


def curves(rng: np.random.Generator, images: int, shifts: Mapping[str, float]) -> dict[str, dict[float, list[Verdict]]]:
    """Models with one curve: at a higher bias an image's caption names and hallucinates less. A model with a shift says
    at 0 what others say at that bias, and so meets the base's coverage elsewhere. Each at the points that it needs.
    """
    rate, there = rng.uniform(0.1, 0.5, size=images), rng.integers(3, 8, size=images)

    def captions(right: np.ndarray, wrong: np.ndarray, bias: float) -> list[Verdict]:
        """What is named is named at a lower bias too: as much of an image's things as numbers lie below a share."""
        share = float(np.clip(0.65 - 0.2 * bias, 0.05, 0.95))
        named = (right < share).sum(axis=1, where=np.arange(8) < there[:, None])
        false = (wrong < (rate * (share + 0.2) * share)[:, None]).sum(axis=1)
        return [
            Verdict({"named": n, "there": t, "hallucinated": w, "mentions": n + w})
            for n, t, w in zip(named.tolist(), there.tolist(), false.tolist(), strict=True)
        ]

    found = {}
    base: list[Verdict] = []
    for name, shift in shifts.items():
        at = partial(captions, rng.uniform(size=(images, 8)), rng.uniform(size=(images, 8)))
        base = base or at(shift)
        points = {0.0: at(shift)}
        tables = {bias: verdict_table(verdicts) for bias, verdicts in points.items()}
        while (
            lacking := lack_of(*coverage_draws(tables, verdict_table(base), tradeoff()))
        ) and lacking.bias is not None:
            points[lacking.bias] = at(shift + lacking.bias)
            tables[lacking.bias] = verdict_table(points[lacking.bias])
        found[name] = points
    return found


def verdict_table(verdicts: Sequence[Verdict]) -> VerdictTable:
    records = [VerdictRecord(str(i), 0, str(i), "", dict(v.counts), None, {}) for i, v in enumerate(verdicts)]
    return VerdictTable.of(records)


def table_of(captions: Sequence[tuple[int, int, int]]) -> VerdictTable:
    """Of each image (hallucinated, mentions, named) of ten objects."""
    return verdict_table(
        [Verdict({"hallucinated": h, "mentions": m, "named": n, "there": 10.0}) for h, m, n in captions]
    )


def merged(points: Mapping[float, list[Verdict]], base: Mapping[float, list[Verdict]]) -> Scores:
    return read_scores(
        [curve_verdicts({bias: verdict_table(v) for bias, v in points.items()}, verdict_table(base[0.0]))]
    )


def tradeoff() -> Tradeoff:
    found = tradeoff_of(METRICS, "object_halbench")
    assert found is not None
    return found


def without(store: Store, left_out: Callable[[EvaluationRecord], bool]) -> list[str]:
    """The metrics of the tables of a store without some of its evaluations."""

    class Fewer(FixedMetrics):
        @cached_property
        def all_stored(self) -> list[EvaluationRecord]:
            return [e for e in self.store.evaluations() if not left_out(e)]

    return [metric.name for table in build_tables(Fewer(store, METRICS)) for metric in table.metrics]


def called_different(reference: str, trials: int, images: int = 100) -> tuple[float, float]:
    """The shares of ``trials`` cases in which dama and ``reference``, models of one curve, are called different, and of
    those that are marked."""
    rng = np.random.default_rng(20261125)
    called = marked = 0
    for _ in range(trials):
        runs = curves(rng, images, {"base": 0.0, "dama": 0.5, **({"dpo": -0.3} if reference == "dpo" else {})})
        a, b = (merged(runs[name], runs["base"]) for name in ("dama", reference))
        scored = ScoredMetrics([tradeoff().matched], {"dama": a, reference: b}, tradeoff())
        (difference,) = scored.differences("dama", reference)
        called += difference.p < 0.05
        marked += not difference.bracketed
    return called / trials, marked / trials


@pytest.mark.parametrize("reference", ["base", "dpo"])
@pytest.mark.parametrize("trials", [200, pytest.param(2000, marks=pytest.mark.sweep)])
def test_models_that_do_not_differ_are_called_different_in_at_most_6_of_100_cases(reference: str, trials: int) -> None:
    """Against base too, whose coverage is the target. The models say less and more than base at 0, and have other
    points than each other; what is marked is not counted as called different, so it must be rare.
    """
    called, marked = called_different(reference, trials)
    assert called <= 0.06 and marked <= 0.05
