"""A comparison of two runs as rich tables. Nothing is printed here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from leaderboards import half_widths
from leaderboards.comparison import Comparison
from leaderboards.declared import metric_name
from leaderboards.extrapolation import MARK
from leaderboards.notes import over_groups
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

EXPLAINED = (
    "Δ = A - B on common samples; the 95 % interval counts samples (images whole) and, of methods, training seeds, "
    "below it the half-widths from both; p Holm: adjusted over {} in a "
    "metric; MDD: minimum detectable difference at that level, 80 % power. "
)
CURVE_ENDS = (
    MARK + " The coverage of base lies beyond the ends of a curve, or too near to them (in {:.0f} % of draws): the "
    "difference is extrapolated and not starred; `bench --eos-bias auto` adds the points that are lacking."
)
KINDS = {
    "methods": "What is compared are methods.",
    "checkpoints": "What is compared are checkpoints: with one seed on a side nothing is said of the methods.",
}
DISAGREE = "The seeds disagree in sign: {}."
MCNEMAR = "McNemar: p of the exact test on right and wrong answers, which takes questions on one image as independent."


def comparison_table(comparisons: Sequence[Comparison], a: str, b: str, *, everything: bool = False) -> Group:
    """The headline metrics (or ``everything``) of a comparison, a table for each benchmark; 80 columns are enough."""
    shown = [c for c in comparisons if c.headline or everything]
    explained = EXPLAINED.format(_pairs(sorted({c.family for c in shown}))) + " ".join(
        [
            *(KINDS[kind] for kind in dict.fromkeys(c.difference.kind for c in shown)),
            *_disagreeing(shown),
            *over_groups(c.metric for c in shown),
            *([MCNEMAR] if any(map(_has_mcnemar, shown)) else []),
        ]
    )
    out: list[RenderableType] = [Text.assemble(("A ", "dim"), (a, "bold"), ("  against  B ", "dim"), (b, "bold"))]
    titles = condition_titles(c.condition for c in comparisons)
    for condition in dict.fromkeys(c.condition for c in shown):
        out.append(_table(titles[condition], [c for c in shown if c.condition == condition]))
    doubtful = [CURVE_ENDS.format(100 * c.difference.extrapolated) for c in shown if not c.difference.bracketed]
    return Group(*out, Text(" ".join([explained, *dict.fromkeys(doubtful)]), "dim"))


def _pairs(families: Sequence[int]) -> str:
    """What p-values are adjusted over: "all 6 or 10 pairs of rows of the table", or one that no table holds. Metrics in
    which no pair has a p are no family."""
    tested = [family for family in families if family]
    if tested in ([], [1]):
        return "this pair alone"
    return f"all {' or '.join(map(str, tested))} pairs of rows of the table"


def _disagreeing(comparisons: Sequence[Comparison]) -> list[str]:
    """In which metrics one seed says A and another B, in a sentence; none where they agree."""
    named = [metric_name(c.condition.benchmark, c.metric.name) for c in comparisons if c.difference.signs_differ]
    return [DISAGREE.format(", ".join(dict.fromkeys(named)))] if named else []


def _has_mcnemar(c: Comparison) -> bool:
    return c.p_mcnemar is not None


def _table(title: str, comparisons: Sequence[Comparison]) -> RichTable:
    mcnemar = any(map(_has_mcnemar, comparisons))
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
        ("MDD", 5),
    ):
        out.add_column(name, justify="right", no_wrap=True, min_width=width)
    for c in comparisons:
        out.add_row(*_row(c, mcnemar))
    return out


def _row(c: Comparison, mcnemar: bool) -> list[Text | str]:
    d = c.difference
    colour = {True: "green", False: "red", None: ""}[better(d, c.metric, c.p_holm)]
    return [
        Text(wrapped_title(c.metric, c.condition.benchmark)),
        number(c.a, c.metric),
        number(c.b, c.metric),
        Text(signed(d.value, c.metric) + stars(d, c.p_holm), colour),
        "\n".join(filter(None, [interval(d.low, d.high, c.metric), " ".join(half_widths.short(d, c.metric))])),
        p_text(d.p),
        p_text(c.p_holm),
        *([p_text(math.nan if c.p_mcnemar is None else c.p_mcnemar)] if mcnemar else []),
        number(d.smallest, c.metric),
    ]
