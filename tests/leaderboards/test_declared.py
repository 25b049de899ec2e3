"""What benchmarks declare is what tables show: no table of the leaderboards knows a benchmark by name."""

from __future__ import annotations

import contextlib
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from harness.errors import UsageError
from harness.protocols.benchmark import BENCHMARKS, Benchmark, Metric, ratio
from leaderboards.declared import (
    SHORT,
    benchmark_order,
    benchmark_title,
    declared,
    headline,
    matched_name,
    metric_name,
    metric_title,
    shown_metrics,
)


def in_every_setting(benchmark: type[Benchmark]) -> list[Benchmark]:
    """As it is, and with each value of every setting that is one of a few: some figures are of one of them alone."""
    hints = get_type_hints(benchmark)
    few = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    made = [benchmark()]
    for name, value in ((name, value) for name, values in few.items() for value in values):
        with contextlib.suppress(UsageError):  # not with the default of another setting
            made.append(benchmark(**{name: value}))
    return made


@pytest.mark.parametrize("name", BENCHMARKS.names())
def test_every_headline_and_charted_metric_is_one_that_the_benchmark_computes(name: str) -> None:
    benchmark = BENCHMARKS.get(name)
    computed = {metric.name for each in in_every_setting(benchmark) for metric in each.metrics([])}
    charted = [benchmark.ability, *(benchmark.tradeoff or ()), *(rate for rate, _ in benchmark.rates)]
    wanted = {*benchmark.headline, *filter(None, [*charted, benchmark.primary])}
    assert wanted <= computed, f"declared and not computed: {wanted - computed}"
    assert set(benchmark.metric_titles) <= computed


def test_hallucination_at_equal_coverage_stands_right_after_the_plain_rate() -> None:
    names = ["chair_i", "chair_i_matched", "recall", "chair_s_refine", "mentions", "nonhal_mention", "chair_s"]
    assert headline("object_halbench", names) == (
        "chair_s_refine", "chair_i", "chair_i_matched", "recall", "mentions",
    )  # fmt: skip
    assert metric_name("object_halbench", "chair_i_matched") == "CHAIRi matched"
    assert (matched_name("amber"), metric_name("amber", "chair_matched")) == ("chair_matched", "CHAIR matched")
    assert matched_name("pope") == ""
    assert shown_metrics("object_halbench", names) == {*names} - {"chair_s"}


def test_a_benchmark_that_declares_nothing_or_is_gone_shows_its_first_metrics_under_their_own_names() -> None:
    assert declared("gone") is Benchmark
    for name in ("gone", "lmms:mme"):
        metrics = [f"m_{i}" for i in range(9)]
        assert (benchmark_title(name), headline(name, metrics)) == (name, tuple(metrics[:SHORT]))
        assert [metric_name(name, metric) for metric in ("m_1", "recall")] == ["m_1", "Recall"]


def test_the_projects_benchmarks_come_first_in_their_own_order() -> None:
    names = ["aaa", "pope", "amber", "object_halbench", "zzz", "mmhal"]
    assert sorted(names, key=benchmark_order) == ["object_halbench", "amber", "mmhal", "pope", "aaa", "zzz"]


def test_titles_have_an_arrow_towards_better() -> None:
    titles = [metric_title(Metric("recall", ratio("a", "b"), better), "gone") for better in (True, False, None)]
    assert titles == ["Recall ↑", "Recall ↓", "Recall"]
