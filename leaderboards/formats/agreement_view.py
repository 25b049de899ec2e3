"""The agreement of two raters as rich text. Nothing is printed here."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from leaderboards.agreement import Agreement, Estimate
from leaderboards.declared import benchmark_title, in_several_runs
from leaderboards.text import p_text

EXPLAINED = (
    "alpha: Krippendorff's; kappa: Cohen's; weighted: by squared distances; 1 is agreement, 0 chance. 95 % bootstrap "
    "intervals, images resampled whole. p: exact sign test of which of the two rates higher, which takes answers as "
    "independent."
)


def agreement_view(agreements: Sequence[Agreement]) -> RenderableType:
    """A table with a line for each benchmark and rating, then what their judge runs add and what was left out."""
    first = agreements[0]
    if first.b is None:
        return _of_runs(agreements)
    heading = Text.assemble(("A ", "dim"), (first.a, "bold"), ("  and  B ", "dim"), (first.b, "bold"))
    table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("Benchmark", "Rating"):
        table.add_column(name)
    for name in ("n", "A", "B", "alpha", "kappa", "weighted", "A - B", "A > B", "A < B", "p"):
        table.add_column(name, justify="right")
    for each in agreements:
        table.add_row(
            Text(benchmark_title(each.benchmark)), Text(f"{each.rating}\n{each.level}"), str(each.n),
            _number(each.mean_a), _number(each.mean_b), *map(_estimate, (each.alpha, each.kappa, each.weighted_kappa)),
            _estimate(each.difference, signed=True), str(each.above), str(each.below), p_text(each.p),
        )  # fmt: skip
    lines = dict.fromkeys(line for each in agreements for line in sentences(each))
    return Group(heading, table, *(Text(line) for line in lines), Text(EXPLAINED, "dim"))


def _of_runs(agreements: Sequence[Agreement]) -> RenderableType:
    """A line for each benchmark and rating that one judge gave in several runs."""
    heading = Text.assemble((agreements[0].a, "bold"), ("  and its own runs", "dim"))
    table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("Benchmark", "Rating"):
        table.add_column(name)
    for name in ("n", "runs", "mean", "alpha"):
        table.add_column(name, justify="right")
    for each in agreements:
        table.add_row(
            Text(benchmark_title(each.benchmark)), Text(f"{each.rating}\n{each.level}"), str(each.n),
            str(each.runs_a), _number(each.mean_a), _estimate(each.alpha),
        )  # fmt: skip
    lines = dict.fromkeys(line for each in agreements for line in sentences(each))
    return Group(heading, table, *(Text(line) for line in lines), Text(EXPLAINED, "dim"))


def sentences(agreement: Agreement) -> list[str]:
    """What the judge runs add to a rating, and what was left out."""
    where = f"{benchmark_title(agreement.benchmark)}, {agreement.rating}"
    said = []
    for rater, runs in ((agreement.a, agreement.runs_a), (agreement.b, agreement.runs_b)):
        share = agreement.run_variance.get(rater or "")
        if share is None:
            continue
        if not math.isfinite(share.value):
            said.append(f"{where}: the {runs} runs of {rater} rate everything alike.")
            continue
        among = agreement.among[rater or ""]
        said.append(
            f"{where}: judge-run variance is {_percent(share)} of the variance of a rating by {rater} ({runs} runs; "
            f"alpha among them {_number(among.value)}{_span(among)})."
        )
    if not agreement.run_variance:
        said.append(f"{benchmark_title(agreement.benchmark)}: {_rated_once(agreement)}.")
    return said + [f"{where}: {note}." for note in agreement.notes]


def _rated_once(agreement: Agreement) -> str:
    """What shows how far ratings of this benchmark vary: the judge's own runs, else a further judge."""
    unknown = "judge-run variance is not known: each rated once"
    if in_several_runs([agreement.benchmark]):
        return f"{unknown}. Judge again with --set judge_runs=3"
    return (
        f"{unknown}, and it has no setting judge_runs. How far judges vary, a further one shows: `bench` or "
        f"`score` with --judge B, then `agree {agreement.a} B`"
    )


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def estimate_text(estimate: Estimate) -> str:
    """The value and its interval on one line."""
    return f"{_number(estimate.value)}{_span(estimate)}"


def _estimate(estimate: Estimate | None, *, signed: bool = False) -> str:
    if estimate is None:
        return "–"
    return f"{_number(estimate.value, signed=signed)}\n{_span(estimate).strip()}".rstrip()


def _span(estimate: Estimate) -> str:
    return f" [{_number(estimate.low)}, {_number(estimate.high)}]" if math.isfinite(estimate.low) else ""


def _number(value: float, *, signed: bool = False) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:+.2f}" if signed else f"{value:.2f}"
