"""`compare A B`: paired differences of two runs on the samples both answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from harness.benchmark import Metric
from harness.errors import UsageError, unknown_name
from harness.run import metrics_of
from harness.stats import Difference, holm
from harness.store import EvaluationRecord, Store
from leaderboards.data import finite
from leaderboards.rows import HEADLINES, Condition, Metrics, condition_of
from leaderboards.scores import Scores, Verdicts, differences, intervals, mcnemar, on_common_samples, read_scores
from leaderboards.text import benchmark_title, better, interval, metric_title, number, p_text, signed
from leaderboards.text import sure as is_sure

RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """One metric of A and B on their common samples.

    ``p_holm`` is adjusted over the headline metrics of all benchmarks compared (NaN for the others, which are
    exploratory); ``p_mcnemar`` is given for shares of right answers (None elsewhere).
    """

    condition: Condition
    metric: Metric
    a: float
    b: float
    difference: Difference
    p_holm: float
    p_mcnemar: float | None
    headline: bool


def load_comparison(store: Store, a: str, b: str) -> list[Comparison]:
    """Compare the runs ``a`` and ``b`` of a store; unknown names raise a UsageError."""
    return compare(store.evaluations(), a, b, lambda e: store.verdicts(e.id), lambda e: metrics_of(store, e))


def compare(
    evaluations: Sequence[EvaluationRecord],
    a: str,
    b: str,
    verdicts: Verdicts,
    metrics: Metrics,
    *,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """A minus B for every plain metric of every condition (benchmark, judge, version, data, decoding) both were run in.

    ``official_*`` figures count failed samples by their own rules, so there is nothing to pair: they are left out.
    """
    by_run = {run: {condition_of(e): e for e in evaluations if e.run == run} for run in (a, b)}
    for run, conditions in by_run.items():
        if not conditions:
            raise unknown_name("run", run, {e.run for e in evaluations})
    shared = [condition for condition in by_run[a] if condition in by_run[b]]
    if not shared:
        raise UsageError(
            f"{a} and {b} share no benchmark with the same judge, version, data and decoding: run both again."
        )
    found: list[Comparison] = []
    for condition in shared:
        pair = by_run[a][condition], by_run[b][condition]
        scores = [read_scores([verdicts(evaluation)]) for evaluation in pair]
        found += _benchmark(condition, *on_common_samples(*scores), metrics(pair[0]), resamples)
    adjusted = iter(holm([c.difference.p for c in found if c.headline]))
    return [Comparison(**{**vars(c), "p_holm": next(adjusted)}) if c.headline else c for c in found]


def _benchmark(
    condition: Condition, left: Scores, right: Scores, metrics: Sequence[Metric], resamples: int
) -> list[Comparison]:
    columns = [metric for metric in metrics if not metric.name.startswith("official_")]
    found = differences(left, right, columns, resamples)
    values = [intervals(scores, columns, resamples=1)[0] for scores in (left, right)]
    main = HEADLINES.get(condition.benchmark, tuple(metric.name for metric in columns[:6]))
    return [
        Comparison(
            condition=condition,
            metric=metric,
            a=float(values[0][i]),
            b=float(values[1][i]),
            difference=found[i],
            p_holm=float("nan"),
            p_mcnemar=mcnemar(left, right, metric),
            headline=metric.name in main,
        )
        for i, metric in enumerate(columns)
    ]


def comparison_records(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Flat records for JSON; None where a number is undefined."""
    return [
        {
            **{k: v for k, v in asdict(c.condition).items() if k != "decoding"},
            "eos_bias": c.condition.eos_bias,
            "metric": c.metric.name,
            "unit": c.metric.unit,
            "higher_is_better": c.metric.higher_is_better,
            "a": finite(c.a),
            "b": finite(c.b),
            "difference": finite(c.difference.value),
            "low": finite(c.difference.low),
            "high": finite(c.difference.high),
            "p": finite(c.difference.p),
            "p_holm": finite(c.p_holm),
            "p_mcnemar": c.p_mcnemar,
            "n_common": c.difference.n,
            "smallest": finite(c.difference.smallest),
        }
        for c in comparisons
    ]


def comparison_table(comparisons: Sequence[Comparison], a: str, b: str, *, everything: bool = False) -> RichTable:
    """The headline metrics (or ``everything``) of a comparison as one rich table."""
    out = RichTable(
        title=f"[bold]{a}[/] against [bold]{b}[/]",
        title_justify="left",
        caption="Δ = A - B on common samples; 95 % interval resamples images; p: paired permutation test, "
        "Holm-adjusted over the metrics of this table; could show: the smallest true difference that this many samples "
        "would find four times in five.",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
    )
    out.add_column("Metric")
    for name in (a, b, "Δ", "95 % interval", "p", "p Holm", "could show", "n"):
        out.add_column(name, justify="right")
    condition = None
    for c in comparisons:
        if not (c.headline or everything):
            continue
        if c.condition != condition:
            condition = c.condition
            out.add_section()
            bias = f" (EOS bias {condition.eos_bias:+g})" if condition.eos_bias else ""
            out.add_row(Text(benchmark_title(condition.benchmark) + bias, "bold cyan"), *[""] * 8)
        d = c.difference
        colour = {True: "green", False: "red", None: ""}[better(d, c.metric)]
        out.add_row(
            f"  {metric_title(c.metric)}",
            number(c.a, c.metric),
            number(c.b, c.metric),
            Text(signed(d.value, c.metric) + ("*" if is_sure(d) else ""), colour),
            interval(d.low, d.high, c.metric),
            p_text(d.p),
            p_text(c.p_holm),
            number(d.smallest, c.metric),
            str(d.n),
        )
    return out
