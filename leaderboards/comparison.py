"""`compare A B`: paired differences of two runs on the samples both answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from harness.errors import UsageError, unknown_name
from harness.evaluation.score import metrics_of
from harness.protocols.benchmark import Metric
from harness.stats import Difference, holm
from harness.store import EvaluationRecord, Store
from leaderboards import coverage
from leaderboards.condition import Condition, newest
from leaderboards.formats.data import finite
from leaderboards.rows import HEADLINES, Metrics, Part
from leaderboards.run_groups import BASE, RunGroups, current_evaluations, run_groups, stale_evaluations
from leaderboards.scores import (
    Verdicts,
    intervals,
    mcnemar,
    on_common_samples,
    read_scores,
    same_groups,
)
from leaderboards.text import (
    better,
    condition_titles,
    interval,
    number,
    p_text,
    signed,
    stars,
    wrapped_title,
)

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
    """Compare ``a`` and ``b`` of a store: runs, methods (all seeds of METHOD or METHOD@PANEL), or the base model.

    Unknown names raise a UsageError.
    """
    names = run_groups(store.alignments())
    evaluations = current_evaluations(store.evaluations(), names)
    if not store.evaluations():
        raise UsageError(f"{store.path} holds no evaluations yet: `python cli.py bench`, or `demo`, comes first.")
    for name in {a, b} & set(stale_evaluations(store)) - {e.run for e in evaluations}:
        raise UsageError(f"{name} was aligned anew since it was benchmarked: `bench --model run:{name}` first.")
    runs = {name: runs_of(name, evaluations, names) for name in (a, b) if name != BASE}
    aligned = [names.alignments[side[0]].panel for side in runs.values() if side[0] in names.alignments]
    panel = panel_of(aligned, names, evaluations) if BASE in (a, b) or aligned else names.panels[0]
    key = partial(names.key, panel=panel)
    named = {run for side in runs.values() for run in side}
    taking_part = [e for e in evaluations if names.label(e, panel) is not None or e.run in named]
    keys = {e.run: key(e) for e in taking_part}
    members = {name: [BASE] if name == BASE else [keys[run] for run in runs[name]] for name in (a, b)}
    return compare(
        taking_part, a, b, lambda e: store.verdicts(e.id), lambda e: metrics_of(store, e),
        members=members, key=key, matched=len({names.bases.get(name) for name in aligned}) < 2,
    )  # fmt: skip


def panel_of(aligned: Sequence[str], names: RunGroups, evaluations: Sequence[EvaluationRecord]) -> str:
    """The panel that a comparison is made in: the aligned side's, else the only one that has a base."""
    if aligned:
        return aligned[0]
    based = [panel for panel in names.panels if any(names.label(e, panel) == BASE for e in evaluations)]
    bases = {e.run: e.model for e in evaluations for panel in based if names.label(e, panel) == BASE}
    if len({names.bases.get(panel) for panel in based}) > 1:
        raise UsageError(f"base: several models were aligned; write one of {', '.join(sorted(bases))}.")
    return based[0] if based else names.panels[0]


def runs_of(name: str, evaluations: Sequence[EvaluationRecord], names: RunGroups) -> list[str]:
    """The runs that ``name`` stands for: the run of that name, or the seeds of a method."""
    runs = {e.run for e in evaluations}
    if name in runs:
        return [name]
    method, _, panel = name.partition("@")
    evaluated = [a for a in names.alignments.values() if a.name in runs]
    found = [a for a in evaluated if a.method == method and panel in ("", a.panel)]
    panels = list(dict.fromkeys(a.panel for a in found))
    if not found:
        raise unknown_name("run or method", name, {BASE, *runs, *(a.method for a in evaluated)})
    if len(panels) > 1:
        choices = " or ".join(repr(f"{method}@{p}") for p in panels)
        raise UsageError(f"{name} was aligned on {len(panels)} panels of data: write {choices}.")
    return [a.name for a in found]


def compare(
    evaluations: Sequence[EvaluationRecord],
    a: str,
    b: str,
    verdicts: Verdicts,
    metrics: Metrics,
    *,
    members: Mapping[str, Sequence[str]] | None = None,
    key: Callable[[EvaluationRecord], str] = lambda e: e.run,
    matched: bool = True,
    resamples: int = RESAMPLES,
) -> list[Comparison]:
    """A minus B for every plain metric of every condition (benchmark, judge, version, data, decoding) both were run in.

    ``members`` names the models (seeds) that A and B stand for, by ``key``; without it they are runs. ``matched``: also
    CHAIR_i at the base's coverage, which takes a base that both have in common.
    ``official_*`` figures count failed samples by their own rules, so there is nothing to pair: they are left out.
    """
    grouped = newest(evaluations, key)
    known = {key(e) for e in evaluations}
    sides = []
    for name in (a, b):
        runs = members[name] if members else [name]
        if not known & set(runs):
            raise unknown_name("run", name, known)
        sides.append({c: [found[run] for run in runs] for c, found in grouped.items() if set(runs) <= set(found)})
    shared = [condition for condition in sides[0] if condition in sides[1]]
    if not shared:
        raise UsageError(
            f"{a} and {b} share no benchmark with the same judge, version, data and decoding: run both again."
        )
    found: list[Comparison] = []
    for condition in shared:
        left, right = sides[0][condition], sides[1][condition]
        columns = [metric for metric in metrics(left[0]) if not metric.name.startswith("official_")]
        one, other = key(left[0]), key(right[0])
        for same in same_groups(columns):
            read = {name: read_scores([verdicts(e) for e in side], same[0].groups)
                    for name, side in ((one, left), (other, right))}  # fmt: skip
            found += _benchmark(condition, one, other, Part(same, read), resamples)
        curves = coverage.curves_of(condition, grouped)
        drawn = {name: coverage.curve_scores([key(e) for e in side], curves, verdicts)
                 for name, side in ((one, left), (other, right))}  # fmt: skip
        both = {name: scores for name, scores in drawn.items() if scores is not None}
        if matched and len(both) == 2:
            part = Part([coverage.matched_metric(columns)], coverage.at_shared_points(both), matched=True)
            found += _benchmark(condition, one, other, part, resamples)
    if not found:
        raise UsageError(f"{a} and {b} have no sample in common that both scored: bench both without --limit.")
    adjusted = iter(holm([c.difference.p for c in found if c.headline]))
    return [Comparison(**{**vars(c), "p_holm": next(adjusted)}) if c.headline else c for c in found]


def _benchmark(condition: Condition, a: str, b: str, part: Part, resamples: int) -> list[Comparison]:
    """Every metric of rows ``a`` and ``b`` on the samples that both scored; nothing where there are none."""
    left, right = on_common_samples(part.scores[a], part.scores[b])
    if not left.samples:
        return []
    found = part.differences(a, b, resamples)
    values = [intervals(scores, part.metrics, resamples=1)[0] for scores in (left, right)]
    main = HEADLINES.get(condition.benchmark, tuple(metric.name for metric in part.metrics[:6]))
    return [
        Comparison(
            condition=condition,
            metric=metric,
            a=float(values[0][i]),
            b=float(values[1][i]),
            difference=found[i],
            p_holm=float("nan"),
            p_mcnemar=mcnemar(left, right, metric),
            headline=metric.name in main and not condition.eos_bias,  # a point of the curve is no test of its own
        )
        for i, metric in enumerate(part.metrics)
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


def comparison_table(comparisons: Sequence[Comparison], a: str, b: str, *, everything: bool = False) -> Group:
    """The headline metrics (or ``everything``) of a comparison, a table for each benchmark; 80 columns are enough."""
    shown = [c for c in comparisons if c.headline or everything]
    explained = EXPLAINED + (MCNEMAR if any(c.p_mcnemar is not None for c in shown) else "")
    parts: list[RenderableType] = [Text.assemble(("A ", "dim"), (a, "bold"), ("  against  B ", "dim"), (b, "bold"))]
    titles = condition_titles(c.condition for c in comparisons)
    for condition in dict.fromkeys(c.condition for c in shown):
        parts.append(_table(titles[condition], [c for c in shown if c.condition == condition]))
    return Group(*parts, Text(explained, "dim"))


EXPLAINED = (
    "Δ = A - B on common samples; the 95 % interval resamples images; p: paired permutation test, Holm-adjusted over "
    "all metrics shown; least: the smallest true difference that so many samples would find four times in five."
)
MCNEMAR = " McNemar: p of the exact test on right and wrong answers, which takes questions on one image as independent."


def _table(title: str, comparisons: Sequence[Comparison]) -> RichTable:
    mcnemar = any(c.p_mcnemar is not None for c in comparisons)
    samples = f", {comparisons[0].difference.n} samples"
    out = RichTable(
        title=Text.assemble((title, "bold cyan"), samples, style="table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 0 if mcnemar else 1, 0, 0),  # nine columns fit 80 too
    )
    out.add_column("Metric", min_width=13, no_wrap=True)
    for name, width in (
        ("A", 5 if mcnemar else 6),
        ("B", 5 if mcnemar else 6),
        ("Δ", 7),
        ("95 % interval", 15),
        ("p", 5),
        ("p Holm", 6),
        *([("McNemar", 7)] if mcnemar else []),
        ("least", 5),
    ):
        out.add_column(name, justify="right", no_wrap=True, min_width=width)
    for c in comparisons:
        d = c.difference
        colour = {True: "green", False: "red", None: ""}[better(d, c.metric, c.p_holm)]
        out.add_row(
            Text(wrapped_title(c.metric)),
            number(c.a, c.metric),
            number(c.b, c.metric),
            Text(signed(d.value, c.metric) + stars(d, c.p_holm), colour),
            interval(d.low, d.high, c.metric),
            p_text(d.p),
            p_text(c.p_holm),
            *([p_text(math.nan if c.p_mcnemar is None else c.p_mcnemar)] if mcnemar else []),
            number(d.smallest, c.metric),
        )
    return out
