"""The charts of combination strategies and of what a lower hallucination rate costs: what their words claim."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.protocols.benchmark import Metric, Verdict, ratio
from harness.store import Store
from leaderboards.charts.combinations import combination_chart, strategies
from leaderboards.charts.tradeoffs import coverage_curves, rate_title, trained_tokens
from leaderboards.charts.training import read_evidence
from leaderboards.published import COLUMNS, ROWS
from leaderboards.rows import Table, build_tables
from leaderboards.snapshot import Snapshot
from tests.leaderboards.fakes import add, snapshot

METRICS = [
    Metric("nonhal_response", ratio("good", "asked"), True),
    Metric("nonhal_mention", ratio("right", "mentions"), True),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results.sqlite")


def align(store: Store, name: str, combine: str, **objective: Any) -> None:
    """A finished DAMA run called ``name`` and its figures: half of six responses without hallucination."""
    config = {"method": "dama", "lr": 1e-6, "seed": 0, "objective": {"beta": 0.1, "combine": combine, **objective}}
    store.start_alignment(name, method=name, seed=0, panel="", key=name, config=config)
    store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
    values = [{"good": float(i % 2), "asked": 1.0, "right": 3.0, "mentions": 4.0} for i in range(6)]
    verdicts = {str(i): Verdict({**v, "hallucinated": 1.0}) for i, v in enumerate(values)}
    add(store, name, verdicts, benchmark="object_halbench")


def tables(store: Store) -> list[Table]:
    return build_tables(snapshot(store, METRICS), resamples=50)


def drawn(store: Store) -> ElementTree.Element:
    chart = combination_chart(tables(store), read_evidence(Snapshot(store))[""])
    assert chart is not None
    return ElementTree.fromstring(f"<div>{chart}</div>")


def words(chart: ElementTree.Element, kind: str) -> list[str]:
    """The texts of a kind in the drawing for wide windows."""
    return [t.text or "" for t in chart[0].iter("text") if t.get("class") == kind]


def test_strategies_that_differ_in_nothing_else_are_named_by_themselves(store: Store) -> None:
    align(store, "dama", "product")
    align(store, "dama combine=mean", "mean")
    assert words(drawn(store), "label") == ["product", "mean"]


def test_two_methods_with_one_strategy_keep_their_own_names(store: Store) -> None:
    """A plain dama stores "product" like the variant that is drawn beside it."""
    align(store, "dama", "product")
    align(store, "dama variant=code", "product", variant="code")
    align(store, "dama combine=mean", "mean")
    assert sorted(words(drawn(store), "label")) == ["dama", "dama combine=mean", "dama variant=code"]


def test_a_strategy_with_another_setting_keeps_its_own_name(store: Store) -> None:
    align(store, "dama", "product")
    align(store, "strong", "mean", beta=0.5)
    found = strategies(read_evidence(Snapshot(store))[""])
    assert found == {"dama": ("product", "dama"), "strong": ("mean", "strong")}


def test_bars_say_what_they_are_and_how_sure(store: Store) -> None:
    align(store, "a", "product")
    align(store, "b", "mean")
    chart = drawn(store)
    assert {"responses without hallucination", "mentions without hallucination"} <= set(words(chart, "tick"))
    figures = words(chart, "figures")
    assert len(figures) == 4 and figures[0].startswith("50.0 [") and figures[1].startswith("75.0 [")
    assert len([e for e in chart[0].iter("line") if e.get("class") == "error"]) == 4
    kinds = {e.get("class") for e in chart[0].iter("rect")}
    assert kinds == {"bar tone0", "bar tone1"}, "no method's colours"


def test_one_strategy_is_no_comparison(store: Store) -> None:
    align(store, "dama", "product")
    align(store, "dama variant=code", "product", variant="code")
    assert combination_chart(tables(store), read_evidence(Snapshot(store))[""]) is None


@pytest.mark.parametrize(
    ("benchmark", "title"), [("amber", "AMBER CHAIR, %"), ("object_halbench", "Object HalBench CHAIRi, %")]
)
def test_axes_name_the_benchmark_whose_rate_they_show(benchmark: str, title: str) -> None:
    assert rate_title(benchmark) == title


def test_published_figures_say_their_unit() -> None:
    """MMHal's rate is published as a share, while the column of that name in one's own tables holds percentages."""
    shares = [column.title for i, column in enumerate(COLUMNS) if all(values[i] <= 1 for _, values in ROWS)]
    assert shares == ["MMHal hal. rate, 0–1 ↓"]
    assert [column.title for column in COLUMNS if "%" not in column.title] == ["MMHal score, 0–6 ↑", *shares]


def test_the_price_of_a_method_is_the_tokens_of_its_steps(store: Store) -> None:
    """Two seeds of 1 and 3 million tokens in two steps each: 2 million; unknown where one run did not log them."""
    for seed, tokens in ((0, 500_000), (1, 1_500_000)):
        log = store.start_alignment(f"dpo-s{seed}", method="dpo", seed=seed, panel="", key=f"k{seed}", config={})
        for step in (1, 2):
            log.log_step(step, {"tokens": tokens, "loss": 0.7})
        store.finish_alignment(f"dpo-s{seed}", status="done", model_dir="m", seconds=1.0)
    assert trained_tokens(read_evidence(Snapshot(store))[""]) == {"dpo": 2.0}
    log = store.start_alignment("old", method="gap", seed=0, panel="", key="old", config={})
    log.log_step(1, {"loss": 0.7})
    store.finish_alignment("old", status="done", model_dir="m", seconds=1.0)
    assert trained_tokens(read_evidence(Snapshot(store))[""]) == {}


def test_the_curve_of_seeds_with_other_points_is_their_mean_in_the_range_of_both(store: Store) -> None:
    """Coverage of seed 0: 40, 50, 60 at biases 0, -1, -2; of seed 1: 44 at 0 and 56 at -1.5. Together from 0 to -1.5:
    42 at 0; at -1 (50 + 52) / 2 = 51; at -1.5 (55 + 56) / 2 = 55.5. Rates are half of these.
    """
    for seed, points in enumerate(({0.0: 40, -1.0: 50, -2.0: 60}, {0.0: 44, -1.5: 56})):
        name = f"dpo-s{seed}"
        store.start_alignment(name, method="dpo", seed=seed, panel="", key=name, config={})
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
        for bias, cover in points.items():
            shown = {"recall": {"value": float(cover)}, "chair_i": {"value": cover / 2}}
            verdicts = {str(i): Verdict({"a": 1.0, "b": 2.0}) for i in range(3)}
            add(store, name, verdicts, benchmark="object_halbench", decoding={"eos_bias": bias}, metrics=shown)
    columns = [Metric(name, ratio("a", "b"), None) for name in ("chair_i", "recall")]
    (table,) = build_tables(snapshot(store, columns), resamples=50)
    (series,) = coverage_curves(Snapshot(store), table, {})
    assert series.points == [(42.0, 21.0), (51.0, 25.5), (55.5, 27.75)]
