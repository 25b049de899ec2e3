"""What benchmarks declare of how their figures are shown: titles, order, columns of the short tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from harness.protocols.benchmark import BENCHMARKS, Benchmark, Metric

SHORT = 6
"""Columns of the short table of a benchmark that declares none."""


def declared(benchmark: str) -> type[Benchmark]:
    """The benchmark's class, for what it declares; the base class, which declares nothing, where none is installed.

    So a store can be read after a plug-in was uninstalled.
    """
    return BENCHMARKS.get(benchmark) if benchmark in BENCHMARKS else Benchmark


def in_several_runs(benchmarks: Sequence[str]) -> list[str]:
    """Those of ``benchmarks`` whose judge can be asked in several runs, by the setting ``judge_runs``."""
    made = ((name, declared(name)) for name in benchmarks)
    return [
        name
        for name, kind in made
        if dataclasses.is_dataclass(kind) and "judge_runs" in {field.name for field in dataclasses.fields(kind)}
    ]


def benchmark_title(benchmark: str) -> str:
    """How tables call a benchmark."""
    return declared(benchmark).title or benchmark


def benchmark_order(benchmark: str) -> tuple[int, str]:
    """Sorts the project's benchmarks first, in the registry's order, then the others by name."""
    return BENCHMARKS.position(benchmark), benchmark


def matched_name(benchmark: str) -> str:
    """The name of hallucination at the base's coverage (leaderboards.coverage); "" where coverage is not declared."""
    tradeoff = declared(benchmark).tradeoff
    return f"{tradeoff[0]}_matched" if tradeoff else ""


def metric_name(benchmark: str, metric: str) -> str:
    """How tables call a metric: as declared, else a plain word with a capital ("Recall"), else its own name."""
    declaration = declared(benchmark)
    if declaration.tradeoff and metric == matched_name(benchmark):
        return f"{metric_name(benchmark, declaration.tradeoff[0])} matched"
    plain_word = metric.isalnum() and metric.islower()  # "recall", not "qAcc"
    return declaration.metric_titles.get(metric, metric.capitalize() if plain_word else metric)


def metric_title(metric: Metric, benchmark: str) -> str:
    """The name with an arrow towards better; without one where neither direction is."""
    arrow = {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]
    return metric_name(benchmark, metric.name) + arrow


def headline(benchmark: str, metrics: Sequence[str]) -> tuple[str, ...]:
    """Which of ``metrics`` the short tables show, in order: as declared, else the first few.

    Hallucination at the base's coverage stands right after the plain one: a model that says less errs less.
    """
    declaration, matched = declared(benchmark), matched_name(benchmark)
    names = list(declaration.headline) or [name for name in metrics if name != matched][:SHORT]
    if declaration.tradeoff:
        plain = declaration.tradeoff[0]
        names.insert(names.index(plain) + 1 if plain in names else len(names), matched)
    return tuple(name for name in names if name in metrics)


def primary_of(benchmark: str, metrics: Sequence[Metric]) -> Metric | None:
    """The one figure that a benchmark is judged by: hallucination at the base's coverage where that was run, else what
    it declares, else the first of the short table; None where no metric has a better and a worse. The others are
    exploratory.
    """
    by_name = {metric.name: metric for metric in metrics}
    names = (matched_name(benchmark), declared(benchmark).primary, *headline(benchmark, list(by_name)))
    directed = (by_name[name] for name in names if name in by_name and by_name[name].higher_is_better is not None)
    return next(directed, None)


def shown_metrics(benchmark: str, metrics: Sequence[str]) -> set[str]:
    """Which of ``metrics`` the short tables, charts and reports show."""
    declaration = declared(benchmark)
    charted = [declaration.ability, *(declaration.tradeoff or ()), *(name for name, _ in declaration.rates)]
    return {*headline(benchmark, metrics), *charted} & set(metrics)
